use borsh::{BorshDeserialize, BorshSerialize};
use sha3::{Digest, Keccak256};

/// A keccak256 hash.
pub type Hash = [u8; 32];

/// keccak256 of the parts, one after the other.
#[must_use]
pub fn keccak(parts: &[&[u8]]) -> Hash {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

macro_rules! bytes32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
        )]
        pub struct $name(pub [u8; 32]);

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("0x")?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{self}")
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }
    };
}

bytes32! {
    /// A registered model; `ModelId` in Solidity.
    ModelId
}
bytes32! {
    /// A payment channel from one payer to one operator; `ChannelId` in Solidity.
    ChannelId
}

/// Position of an earner (an account in one role) in the earnings polynomials. 0 is nobody.
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
pub struct EarnerIndex(pub u32);

impl EarnerIndex {
    /// Index of rows that name no earner.
    pub const NOBODY: Self = Self(0);
    /// The treasury, registered when the contracts are deployed.
    pub const TREASURY: Self = Self(1);
}

impl core::fmt::Display for EarnerIndex {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

/// 32-byte words as Solidity's `abi.encode` lays out static types.
#[derive(Debug, Default)]
pub(crate) struct Words(alloc::vec::Vec<u8>);

impl Words {
    pub(crate) fn word(mut self, word: Hash) -> Self {
        self.0.extend_from_slice(&word);
        self
    }

    pub(crate) fn uint(self, value: impl Into<u64>) -> Self {
        let mut word = [0; 32];
        word[24..].copy_from_slice(&value.into().to_be_bytes());
        self.word(word)
    }

    pub(crate) fn address(self, address: [u8; 20]) -> Self {
        let mut word = [0; 32];
        word[12..].copy_from_slice(&address);
        self.word(word)
    }

    pub(crate) fn hash(&self) -> Hash {
        keccak(&[&self.0])
    }
}
