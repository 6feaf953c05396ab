//! Rows of the tables that mirror the chain.

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    sol_types::SolValue,
};
use attribution::settle::EarnerIndex;
use borsh::{BorshDeserialize, BorshSerialize};

pub use super::figures::{FigureKind, FigureView, FigureVoteView, ReportView};
use crate::{
    chain::bindings::{G1Point, Interval, Price, Rules, SpanCommitment, Submission},
    store::{read_sol, write_sol},
};

/// The role in which an account earns; numbers are the contract's.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Role {
    /// The platform's share and what rounding leaves.
    Treasury = 1,
    /// Who contributed rows.
    Contributor = 2,
    /// Who owns a model.
    ModelOwner = 3,
    /// Who stakes to an operator; the account is the operator's.
    Stakers = 4,
}

impl Role {
    /// The role with the contract's number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Treasury),
            2 => Some(Self::Contributor),
            3 => Some(Self::ModelOwner),
            4 => Some(Self::Stakers),
            _ => None,
        }
    }
}

/// An account in a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EarnerView {
    /// Its index in the earnings polynomials.
    pub earner: EarnerIndex,
    /// Who is paid.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub account: Address,
    /// Why.
    pub role: Role,
}

/// A registered model as of the head.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ModelView {
    /// Its id.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub id: B256,
    /// The base that its adapter is for; zero for a base model.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub base: B256,
    /// Hash of the adapter, or of the base's weights.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub content_hash: B256,
    /// Merkle root of the influence index's contributor leaves; zero for a base model.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub index_root: B256,
    /// Hash of the influence index file; zero for a base model.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub index_hash: B256,
    /// Name given at registration; names are not unique on chain.
    pub name: String,
    /// Owner of the ERC-721 token.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub owner: Address,
    /// Version of `price`, from 1.
    pub price_version: u32,
    /// The price in force.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub price: Price,
    /// Datanet versions that it was trained on.
    pub datanets: Vec<DatanetRef>,
}

/// A published influence index as of the head.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct IndexView {
    /// Leaves of its tree.
    pub contributors: u32,
    /// Numbers per sketch.
    pub dim: u32,
    /// Symbols of each blob.
    pub symbols: u32,
    /// Commitments under which its blobs are found, in order.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub blobs: Vec<G1Point>,
    /// What shows that each is available, and where it is found.
    pub certificates: Vec<Vec<u8>>,
    /// From when its model may earn (seconds).
    pub accepted_at: u64,
    /// Whether it was proven wrong: then its model never earns.
    pub struck: bool,
}

/// A published span index as of the head.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SpanIndexView {
    /// What proofs about it are checked against.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub commitment: SpanCommitment,
    /// Who put its bond down and shows its leaves.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub publisher: Address,
    /// Until when leaves can be demanded (seconds).
    pub disputable_until: u64,
    /// From when it pays (seconds); until then it can be struck.
    pub accepted_at: u64,
    /// Leaves that are to be shown before it pays.
    pub demands: u32,
    /// Whether it was proven wrong: then it never pays.
    pub struck: bool,
}

impl SpanIndexView {
    /// Whether calls signed at `time` (seconds) are paid for spans, as `ISpanIndexes.isPaying`.
    pub const fn is_paying(&self, time: u64) -> bool {
        !self.struck && self.demands == 0 && self.accepted_at <= time
    }

    /// What stands for its commitment on the chain.
    pub fn commitment_hash(&self) -> B256 {
        keccak256(self.commitment.abi_encode())
    }
}

/// A version of a Datanet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DatanetRef {
    /// The Datanet.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub id: B256,
    /// Its version, from 1.
    pub version: u32,
}

/// A Datanet as of the head.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DatanetView {
    /// Who may publish versions.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub owner: Address,
    /// Its name.
    pub name: String,
    /// Licence of its rows.
    pub licence: String,
    /// Versions published.
    pub versions: u32,
}

/// A published version of a Datanet.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VersionView {
    /// Merkle root of its rows.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub rows_root: B256,
    /// How many rows.
    pub row_count: u32,
}

/// A payment channel as of the head.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChannelView {
    /// Who pays and signs.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub payer: Address,
    /// Who draws.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub operator: Address,
    /// Wei paid in and not withdrawn; draws do not lower it.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub deposit: U256,
    /// Cumulative gwei drawn.
    pub drawn: u64,
    /// Wei of the pending withdrawal, 0 if there is none.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub withdrawal: U256,
}

/// How far a batch is on chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum BatchStatus {
    /// In its dispute window, or held, or nobody has made it final yet.
    Posted,
    /// Its payouts are earned.
    Final,
    /// Void: it pays nobody.
    Struck,
}

/// A batch as it was posted, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChainBatch {
    /// Its operator.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub operator: Address,
    /// Its epoch.
    pub epoch: u64,
    /// Commitments, layout and certificates.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub submission: Submission,
    /// What it drew, in the order of the draws.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub draws: Vec<Interval>,
    /// How far it is.
    pub status: BatchStatus,
    /// Holds of arbiters that are not released.
    pub holds: u32,
    /// Whether its draws went back to the channels.
    pub refunded: bool,
}

/// Why and by whom a batch was struck through Disputes.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StrikeView {
    /// Number of the rule that it broke.
    pub rule: u8,
    /// Who proved it.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub challenger: Address,
    /// Wei taken from the operator's stake.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub slashed: U256,
}

/// A published snapshot of a page's earnings at one version. What it says is to be compared with
/// the chain's commitment.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ArchiveView {
    /// When (seconds).
    pub archived_at: u64,
    /// Commitment to its blob.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub blob: G1Point,
    /// That the blob is available.
    pub certificate: Vec<u8>,
}

/// The commitment to a page's cumulative earnings at one version.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EarningsView {
    /// The commitment.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub commitment: G1Point,
    /// The batch whose payouts made this version from the one before.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub batch: B256,
}

/// Fee rules and the time from which they hold.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RulesView {
    /// Split and number of credits.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub rules: Rules,
}

/// A price that a model has or had.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PriceView {
    /// Rates and platform fee.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub price: Price,
}
