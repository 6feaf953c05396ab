//! What this validator committed to, kept until it is revealed.

use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::sol_types::SolValue;
use borsh::{BorshDeserialize, BorshSerialize};

use super::{Context, number};
use crate::{
    Result,
    chain::bindings::ISketchVotes::Choice,
    store::{Table, WriteBatch, get_row, read_sol, rows, write_sol},
};

/// What this validator committed to, or is about to.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BallotRow {
    /// keccak256 of what was judged: after a reorganisation a number may be another vote's.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub subject: B256,
    /// Whether what was judged is False; else it Holds.
    pub is_false: bool,
    /// What hides the choice until it is revealed.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub salt: B256,
}

/// The ballots of the votes of one contract. Contracts commit to choices alike, so their votes differ
/// in the table only.
#[derive(Debug, Clone)]
pub(super) struct Ballots {
    context: Context,
    contract: Address,
    table: Table,
}

impl Ballots {
    /// Those in `table`, of votes of `contract`.
    pub(super) const fn new(context: Context, contract: Address, table: Table) -> Self {
        Self { context, contract, table }
    }

    /// The commitment that was made to a judgement of the same subject before a restart.
    pub(super) fn kept(&self, vote: u64, subject: B256) -> Result<Option<B256>> {
        let ballots: Vec<(Vec<u8>, BallotRow)> =
            rows(&*self.context.store, self.table, &vote.to_be_bytes())?;
        let same = ballots.into_iter().find(|(_, ballot)| ballot.subject == subject);
        Ok(same.map(|(key, _)| B256::from_slice(&key[8..])))
    }

    /// Writes a choice down with a new salt, before anything of it is sent; gives the commitment.
    pub(super) fn keep(
        &self,
        validator: Address,
        vote: u64,
        subject: B256,
        is_false: bool,
    ) -> Result<B256> {
        let salt = B256::from(rand::random::<[u8; 32]>());
        let ballot = BallotRow { subject, is_false, salt };
        let chain = U256::from(self.context.registry.contracts().deployment.chain_id);
        let choice = if is_false { Choice::False } else { Choice::Holds } as u8;
        let preimage = (chain, self.contract, number(vote), validator, U256::from(choice), salt);
        let commitment = keccak256(preimage.abi_encode_params());
        let mut batch = WriteBatch::default();
        batch.put_row(self.table, key(vote, commitment), &ballot);
        self.context.store.write(batch)?;
        Ok(commitment)
    }

    /// The ballot of a commitment; `None` if it is lost.
    pub(super) fn of(&self, vote: u64, commitment: B256) -> Result<Option<BallotRow>> {
        get_row(&*self.context.store, self.table, &key(vote, commitment))
    }

    /// Adds to a write that a vote's ballots are not needed any more.
    pub(super) fn forget(&self, vote: u64, batch: &mut WriteBatch) -> Result<()> {
        let prefix = vote.to_be_bytes();
        for (key, _) in self.context.store.scan(self.table, &prefix, &prefix, usize::MAX)? {
            batch.delete(self.table, key);
        }
        Ok(())
    }
}

/// Where a ballot is in its table.
fn key(vote: u64, commitment: B256) -> Vec<u8> {
    [&vote.to_be_bytes()[..], commitment.as_slice()].concat()
}
