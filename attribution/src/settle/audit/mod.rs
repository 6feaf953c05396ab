//! What is wrong with anybody's ledger, and what proves it.
//!
//! The payout argument shows on chain that amounts add up: every account closes at zero and what is
//! drawn is paid. It does not show that the rows are the right ones. The rules here do, each by one
//! function that reads the rows as the fault contracts do: a fault found here names exactly the rows
//! that one transaction has to open. Rows that are no ledger at all are read as far as they go.

use alloc::vec::Vec;

mod amounts;
mod book;
mod carries;
mod factors;
mod fault;
mod grammar;
mod header;
mod index;
mod order;
mod payouts;
mod receipts;
mod records;
mod rows;
mod scores;
mod sources;
mod uses;
mod vouchers;

pub use book::Audit;
pub use fault::{Evidence, Fault, Rule};
pub use receipts::Receipt;
pub use rows::Rows;
pub use sources::{Batch, CitedRow, Contributor, Known, Rules, Sources, SpanCorpus};

/// Finds the faults of one rule.
type Check<S> = for<'s, 'a> fn(&'s Audit<'a, S>) -> Vec<Fault>;

impl<S: Sources> Audit<'_, S> {
    /// Every fault, by rule in the order of [`Rule`], then by row; empty for an honest ledger.
    /// `Receipt`, `Omitted` and `Sketch` need more than the ledger: see [`Audit::receipt_fault`] and
    /// [`Audit::omitted`].
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let rules: [Check<S>; 27] = [
            header::malformed,
            header::header,
            order::row,
            order::neighbours,
            order::sequence,
            amounts::split,
            amounts::credit,
            amounts::flat,
            amounts::closing,
            records::fee,
            records::payee,
            records::overlap,
            records::outside,
            vouchers::voucher,
            vouchers::witness,
            carries::carry,
            records::not_earning,
            scores::score,
            index::stranger,
            scores::left_out,
            scores::too_many,
            payouts::unpaid,
            uses::span,
            uses::nested,
            uses::outside,
            uses::citation,
            factors::factor,
        ];
        rules.iter().flat_map(|rule| rule(self)).collect()
    }
}
