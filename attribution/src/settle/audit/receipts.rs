//! Records against what the operator signed for the payer.

use alloc::vec::Vec;

use super::{
    Audit, Evidence, Fault, Rule, Sources,
    book::{Entry, Held},
};
use crate::settle::{Hash, Info, keccak};

/// What an operator's receipt says of a call; its signature is the caller's to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// EIP-712 digest of the voucher, which names the call.
    pub voucher: Hash,
    /// Gwei.
    pub fee: u64,
    /// Prompt tokens.
    pub tokens_in: u64,
    /// Generated tokens.
    pub tokens_out: u64,
    /// keccak256 of the answer's text.
    pub output_hash: Hash,
    /// keccak256 of the sketch's bytes.
    pub sketch_hash: Hash,
}

impl<S: Sources> Audit<'_, S> {
    /// The record of a receipt's call has its fee, tokens, answer and sketch.
    #[must_use]
    pub fn receipt_fault(&self, receipt: &Receipt) -> Option<Fault> {
        let of_call = |entry: &Entry<'_>| receipt.voucher.starts_with(entry.record.voucher);
        let Entry { at, row, record } = self.records().find(of_call)?;
        let Held::Witness(witness) = self.held(at) else { return None };
        let sketch: Vec<u8> = witness.sketch.iter().map(|x| x.cast_unsigned()).collect();
        let holds = i128::from(row.value) == i128::from(receipt.fee)
            && u64::from(record.tokens_in) == receipt.tokens_in
            && u64::from(record.tokens_out) == receipt.tokens_out
            && witness.output_hash == receipt.output_hash
            && keccak(&[&sketch]) == receipt.sketch_hash;
        let evidence = Evidence::Receipt { ordinal: record.ordinal };
        (!holds).then(|| Fault::new(Rule::Receipt, &[at], evidence))
    }

    /// The call with this voucher digest, signed for at `time`, has a record. The caller holds that
    /// the time is in the batch's epoch and that the operator signed a receipt.
    #[must_use]
    pub fn omitted(&self, voucher: Hash, time: u64) -> Option<Fault> {
        let leading: &[u8; 31] = voucher.first_chunk()?;
        let place = |entry: &Entry<'_>| (entry.record.time, *entry.record.voucher);
        let call = (time, *leading);
        if self.records().any(|entry| place(&entry) == call) {
            return None;
        }
        let lower = self.records().filter(|entry| place(entry) < call).max_by_key(place);
        let upper = self.records().filter(|entry| place(entry) > call).min_by_key(place);
        let rows = match (lower, upper) {
            (None, Some(first)) => (first.record.ordinal == 0).then_some([first.at; 2]),
            (Some(a), Some(b)) => {
                let next = u32::from(a.record.ordinal) + 1 == u32::from(b.record.ordinal);
                (next && a.at < b.at).then_some([a.at, b.at])
            }
            (Some(last), None) => match self.rows.get(0)?.info {
                Info::Header { records, .. } if records == u32::from(last.record.ordinal) + 1 => {
                    Some([0, last.at])
                }
                _ => None,
            },
            (None, None) => None,
        };
        rows.map(|rows| Fault::new(Rule::Omitted, &rows, Evidence::Omitted))
    }
}
