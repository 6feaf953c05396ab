use ark_bn254::{Fr, G1Affine};
use ark_ff::PrimeField;
use attribution::settle::{Account, ChannelId, Hash, Ledger, MAX_ROWS, MIN_ROWS};
use sha3::{Digest, Keccak256};

use super::{
    key::VerifierKey,
    transcript::{Transcript, integer, padded, point},
};
use crate::{Error, LedgerCommitment, PageId, Result, evm::Word};

const DOMAIN: &[u8] = b"OpenLedger payout argument v1";

/// What a batch draws from a channel, in gwei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelDraw {
    /// The channel.
    pub channel: ChannelId,
    /// Gwei drawn.
    pub amount: u64,
}

/// Public inputs of the argument: what Settlement knows of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutStatement {
    /// Chain of the settlement contract.
    pub chain_id: u64,
    /// Settlement contract.
    pub settlement: [u8; 20],
    /// Operator whose batch it is.
    pub operator: [u8; 20],
    /// Batch id.
    pub batch: Hash,
    /// keccak256 of the data-availability certificate.
    pub certificate_hash: Hash,
    /// Rows of the ledger, a power of two from 8 to 65 536.
    pub rows: u32,
    /// Gwei drawn and paid.
    pub total: u64,
    /// Draws in the order in which Settlement makes them; amounts sum to `total`.
    pub draws: Vec<ChannelDraw>,
    /// Commitment to the ledger.
    pub ledger: G1Affine,
    /// Commitments to further blobs, bound but not read.
    pub witnesses: Vec<G1Affine>,
    /// Pages paid, numbers strictly increasing, with commitments to their payouts.
    pub pages: Vec<(PageId, G1Affine)>,
}

impl PayoutStatement {
    /// The statement of a ledger: draws of nothing are left out, as PaymentChannels refuses them.
    #[must_use]
    pub fn of_ledger(
        ledger: &Ledger,
        commitment: &LedgerCommitment,
        pages: Vec<(PageId, G1Affine)>,
        certificate_hash: Hash,
    ) -> Self {
        let header = ledger.header();
        let drawn = ledger.draws().iter().filter(|draw| draw.amount() > 0);
        Self {
            chain_id: header.chain_id,
            settlement: header.settlement,
            operator: header.operator,
            batch: header.batch_id(),
            certificate_hash,
            rows: u32::try_from(commitment.rows()).expect("at most 2^16 rows"),
            total: ledger.total(),
            draws: drawn
                .map(|draw| ChannelDraw { channel: draw.channel, amount: draw.amount() })
                .collect(),
            ledger: commitment.commitment(),
            witnesses: Vec::new(),
            pages,
        }
    }

    /// Refuses what the verifier refuses before it looks at a proof.
    pub(super) fn check(&self, key: &VerifierKey) -> Result<()> {
        let refuse = |rule| Err(Error::PayoutStatement { rule });
        let rows = self.rows as usize;
        if !rows.is_power_of_two() || !(MIN_ROWS..=MAX_ROWS).contains(&rows) {
            return refuse("have a power of two of rows from 8 to 65536");
        }
        if self.pages.is_empty() || !self.pages.is_sorted_by(|(a, _), (b, _)| a < b) {
            return refuse("name at least one page, in strictly increasing order");
        }
        let last = u32::MAX / key.page_size();
        if self.pages.iter().any(|&(page, _)| page > last) {
            return refuse("name pages of earner indices below 2^32");
        }
        let drawn: u128 = self.draws.iter().map(|draw| u128::from(draw.amount)).sum();
        if drawn != u128::from(self.total) {
            return refuse("have draws that sum to its total");
        }
        Ok(())
    }

    /// A transcript that has absorbed the verifier's key and the statement.
    pub(super) fn transcript(&self, key: &VerifierKey) -> Transcript {
        let mut words = vec![
            Keccak256::digest(DOMAIN).into(),
            key.hash(),
            integer(self.chain_id),
            padded(self.settlement),
            self.batch,
            padded(self.operator),
            self.certificate_hash,
            integer(self.rows.into()),
            integer(self.pages.len() as u64),
            integer(self.total),
            integer(self.draws.len() as u64),
            integer(self.witnesses.len() as u64),
        ];
        words.extend(self.draws.iter().flat_map(|d| [d.channel.0, integer(d.amount)]));
        words.extend(point(self.ledger));
        words.extend(self.witnesses.iter().flat_map(|&witness| point(witness)));
        let page = |&(page, payouts): &(PageId, G1Affine)| {
            let [x, y]: [Word; 2] = point(payouts);
            [integer(page.into()), x, y]
        };
        words.extend(self.pages.iter().flat_map(page));
        let mut transcript = Transcript::default();
        transcript.absorb(&words);
        transcript
    }

    /// `D`: the sum of `amount / (gamma - key)` over the draws; nothing if a denominator is zero.
    pub(super) fn draws_at(&self, gamma: Fr) -> Option<Fr> {
        let term = |draw: &ChannelDraw| {
            let key = Fr::from_be_bytes_mod_order(&Account::draw(draw.channel).key());
            Some(Fr::from(draw.amount) * ark_ff::Field::inverse(&(gamma - key))?)
        };
        self.draws.iter().map(term).sum()
    }
}
