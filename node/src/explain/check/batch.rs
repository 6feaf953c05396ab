//! The ledger that has the record.

use attribution::settle::{EarnerIndex, Record, Witness};

use super::Checker;
use crate::{
    Result,
    explain::{
        Explanation,
        build::{leading, status_name},
        finding::Report,
    },
    graph::{Book, BookRecord},
    registry::ChainBatch,
    standing::ledger_of,
    worker::blocking,
};

impl Checker {
    /// The batch on the chain against what is said of it, and the record in its ledger.
    pub(super) async fn batch(
        &self,
        report: &mut Report,
        said: &Explanation,
        witness: &Witness,
        settled: Option<&Record>,
    ) -> Result<()> {
        let epoch = self.registry.epoch_of(witness.time);
        let mut posted = self.registry.batches_of(said.operator, epoch)?.into_iter();
        let posted = posted.rfind(|(_, batch)| batch.epoch == epoch);
        let Some((id, batch)) = posted else {
            let is_said = said.batch.as_ref().is_some_and(|batch| batch.status != "sealed");
            if is_said {
                report.note("batch", false, "the chain has none of this operator and epoch");
            } else {
                report.skip("batch", "it is not on the chain yet");
            }
            return Ok(());
        };
        let status = status_name(Some(batch.status));
        match &said.batch {
            Some(said) if said.id != id => report.compare("batch", &said.id, &id),
            // It may have gone on since.
            _ => report.note("batch", true, format!("{id} of epoch {epoch} is {status}")),
        }
        match self.book(report, id, &batch).await? {
            None => Ok(()),
            Some(book) => {
                included(report, said, witness, settled, &book);
                Ok(())
            }
        }
    }

    /// The ledger, if it is what the chain committed to.
    async fn book(
        &self,
        report: &mut Report,
        id: alloy::primitives::B256,
        batch: &ChainBatch,
    ) -> Result<Option<Book>> {
        let Some((layer, kzg)) = &self.availability else {
            report.skip("inclusion", "no data availability is configured");
            return Ok(None);
        };
        let blob = match ledger_of(layer, id, batch).await {
            Ok(blob) => blob,
            Err(error) => {
                report.skip("inclusion", error.to_string());
                return Ok(None);
            }
        };
        let (kzg, posted) = (kzg.clone(), batch.submission.ledger.clone());
        let read = blocking(move || {
            let rows = prover::rows_from_blob(&blob)?;
            Ok((kzg.commit_ledger(blob)? == posted).then(|| Book::read(&rows)))
        });
        match read.await {
            Ok(Some(book)) => Ok(Some(book)),
            Ok(None) => {
                report.note("inclusion", false, "the ledger is not what the chain committed to");
                Ok(None)
            }
            Err(error) => {
                report.note("inclusion", false, format!("the ledger cannot be read: {error}"));
                Ok(None)
            }
        }
    }
}

/// The record's rows against the record that was built again, and payouts against what is said.
fn included(
    report: &mut Report,
    said: &Explanation,
    witness: &Witness,
    settled: Option<&Record>,
    book: &Book,
) {
    let Some(entry) = book.record(&leading(&said.record.voucher_digest.0)) else {
        return report.note("inclusion", false, "the ledger has no record of the call");
    };
    let hash = witness.hash();
    if entry.record != leading(&hash) {
        let rows = "the ledger's record has another hash";
        return report.note("inclusion", false, rows);
    }
    let Some(settled) = settled else {
        return report.skip("inclusion", "there is no record of such credits to compare it with");
    };
    match first_difference(entry, settled) {
        Some(what) => {
            return report.note("inclusion", false, format!("the ledger has another {what}"));
        }
        None => {
            let (first, last) = (entry.row, entry.row + entry.rows.saturating_sub(1));
            let detail = format!("rows {first} to {last} of {} in the committed ledger", book.rows);
            report.note("inclusion", true, detail);
        }
    }
    let Some(batch) = &said.batch else { return };
    let wrong = batch.paid.iter().find(|paid| paid.amount.0 != book.paid(EarnerIndex(paid.earner)));
    match wrong {
        None => {
            let total: u64 = batch.paid.iter().map(|paid| paid.amount.0).sum();
            let detail = format!("{} earners, {total} gwei in the batch", batch.paid.len());
            report.note("paid", true, detail);
        }
        Some(paid) => {
            let (earner, found) = (paid.earner, book.paid(EarnerIndex(paid.earner)));
            let detail = format!("earner {earner}: claimed {}, found {found}", paid.amount.0);
            report.note("paid", false, detail);
        }
    }
}

/// What the ledger says differently from a record.
fn first_difference(entry: &BookRecord, record: &Record) -> Option<&'static str> {
    let call = record.call();
    let shares = record.shares().iter().map(|share| (share.kind, share.earner, share.amount));
    let influence = record.credits().iter();
    let influence = influence.map(|one| (one.earner, i128::from(one.score), one.credit, None));
    let said = |place: usize| {
        let credits = entry.pools.get(place).map(|pool| &pool.credits[..]).unwrap_or_default();
        let credits = credits.iter().map(|one| (one.earner, one.score, one.gwei, one.ground));
        credits.collect::<Vec<_>>()
    };
    let pools = std::iter::once(record.pool());
    let pools = pools.chain(record.sections().iter().map(|section| section.pool));
    let uses = record.sections().iter().enumerate().all(|(place, section)| {
        let credits = section.credits.iter();
        let credits = credits.map(|one| {
            let gwei = i64::try_from(one.credit).unwrap_or(i64::MAX);
            (one.of.earner, i128::from(one.of.score), gwei, Some(one.of.ground))
        });
        credits.eq(said(place + 1))
    });
    [
        (entry.fee == record.fee(), "fee"),
        (entry.tokens == (call.tokens_in, call.tokens_out), "number of tokens"),
        (shares.eq(entry.shares.iter().copied()), "fixed share"),
        (pools.eq(entry.pools.iter().map(|pool| pool.amount)), "pool"),
        (influence.eq(said(0)), "credit"),
        (uses, "credit for a use"),
    ]
    .into_iter()
    .find_map(|(is_same, what)| (!is_same).then_some(what))
}
