use borsh::{BorshDeserialize, BorshSerialize};

use super::{CELL_BYTES, Cell, ChannelId, EarnerIndex, ModelId};
use crate::{Error, Result};

/// The leading 25 bytes of a model id, which is what fits an account key beside an index.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
)]
pub struct ModelKey(pub [u8; 25]);

impl From<ModelId> for ModelKey {
    fn from(model: ModelId) -> Self {
        Self(*model.0.first_chunk().expect("25 of 32 bytes"))
    }
}

/// A contributor's account with one model.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
)]
pub struct Balance {
    /// Whose pool it shares in.
    pub model: ModelKey,
    /// The contributor.
    pub earner: EarnerIndex,
}

impl Balance {
    /// The account of `earner` with `model`.
    #[must_use]
    pub fn new(model: ModelId, earner: EarnerIndex) -> Self {
        Self { model: model.into(), earner }
    }
}

/// What a ledger row posts to. Ordered like its key read as a big-endian integer.
///
/// | account | key (31 bytes) |
/// |---|---|
/// | `None` | zeros |
/// | `Draw` | `01`, leading 30 bytes of the channel id |
/// | `Fixed` | `02`, 26 zeros, index (u32) |
/// | `Pool` | `03 00`, leading 25 bytes of the model id, 4 zeros |
/// | `Balance` | `04 00`, leading 25 bytes of the model id, index (u32) |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// Rows that post nothing: batch header and padding.
    None,
    /// Fees of a channel; closed by the public draw from it.
    Draw([u8; 30]),
    /// Fixed shares of an earner.
    Fixed(EarnerIndex),
    /// Contributors' shares of a model's calls.
    Pool(ModelKey),
    /// A contributor's net with one model.
    Balance(Balance),
}

impl Account {
    /// The account that a channel's fees post to.
    #[must_use]
    pub const fn draw(channel: ChannelId) -> Self {
        Self::Draw(*channel.0.first_chunk().expect("30 of 32 bytes"))
    }

    /// The key as a big-endian integer of 31 bytes.
    #[must_use]
    pub fn key(&self) -> Cell {
        let mut key = [0; CELL_BYTES];
        match self {
            Self::None => {}
            Self::Draw(channel) => {
                key[0] = 1;
                key[1..].copy_from_slice(channel);
            }
            Self::Fixed(earner) => {
                key[0] = 2;
                key[27..].copy_from_slice(&earner.0.to_be_bytes());
            }
            Self::Pool(model) => {
                key[0] = 3;
                key[2..27].copy_from_slice(&model.0);
            }
            Self::Balance(balance) => {
                key[0] = 4;
                key[2..27].copy_from_slice(&balance.model.0);
                key[27..].copy_from_slice(&balance.earner.0.to_be_bytes());
            }
        }
        key
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`Error::AccountKey`] unless it is exactly what [`Account::key`] writes.
    pub fn from_key(key: &Cell) -> Result<Self> {
        let model = ModelKey(*key[2..].first_chunk().expect("25 of 29 bytes"));
        let earner = EarnerIndex(u32::from_be_bytes(*key.last_chunk().expect("4 of 31 bytes")));
        let account = match key[0] {
            0 => Self::None,
            1 => Self::Draw(*key.last_chunk().expect("30 of 31 bytes")),
            2 => Self::Fixed(earner),
            3 => Self::Pool(model),
            4 => Self::Balance(Balance { model, earner }),
            _ => return Err(Error::AccountKey { key: *key }),
        };
        // Writing it again catches every byte that its kind leaves at zero.
        if account.key() == *key { Ok(account) } else { Err(Error::AccountKey { key: *key }) }
    }
}
