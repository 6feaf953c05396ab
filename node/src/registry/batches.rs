//! Batches and what became of them: strikes, snapshots, earnings.

use alloy::primitives::{Address, B256};

use super::{
    ArchiveView, ChainBatch, EarnerIndex, EarningsView, Registry, StrikeView,
    keys::{hash_in, operator_batch_key},
};
use crate::{
    Error, Result,
    store::{Table, get_row, rows},
};

/// All fail with [`crate::Error::Store`], if the store cannot be read.
impl Registry {
    /// A batch by its id.
    pub fn batch(&self, id: B256) -> Result<Option<ChainBatch>> {
        get_row(&*self.store, Table::ChainBatches, id.as_slice())
    }

    /// The batches of an operator, by ascending epoch, with their ids; from `epoch` on.
    pub fn batches_of(&self, operator: Address, epoch: u64) -> Result<Vec<(B256, ChainBatch)>> {
        let from = operator_batch_key(operator, epoch);
        let found =
            self.store.scan(Table::OperatorBatches, operator.as_slice(), &from, usize::MAX)?;
        let batch = |(_, id): (Vec<u8>, Vec<u8>)| {
            let id = hash_in(Table::OperatorBatches, &id)?;
            let view = self.batch(id)?;
            Ok((id, view.ok_or_else(|| Error::Store(format!("batch {id} is not indexed")))?))
        };
        found.into_iter().map(batch).collect()
    }

    /// Struck batches of an operator whose draws did not go back yet, by ascending epoch.
    pub fn refundable(&self, operator: Address) -> Result<Vec<B256>> {
        let prefix = operator.as_slice();
        let found = self.store.scan(Table::Refundable, prefix, prefix, usize::MAX)?;
        found.iter().map(|(_, id)| hash_in(Table::Refundable, id)).collect()
    }

    /// Why a batch was struck; `None` if it was not, or by another arbiter than Disputes.
    pub fn strike(&self, batch: B256) -> Result<Option<StrikeView>> {
        get_row(&*self.store, Table::Strikes, batch.as_slice())
    }

    /// Snapshots of a page's earnings with their versions and who published them, the latest
    /// version first.
    pub fn archives(&self, page: u32) -> Result<Vec<(u64, Address, ArchiveView)>> {
        let all = rows(&*self.store, Table::Archives, &page.to_be_bytes())?;
        let damaged = || Error::Store("table archives: damaged key".into());
        let named = |(key, view): (Vec<u8>, ArchiveView)| {
            let (version, operator) =
                key.get(4..).and_then(<[u8]>::split_first_chunk).ok_or_else(damaged)?;
            let operator = Address::try_from(operator).map_err(|_| damaged())?;
            Ok((u64::from_be_bytes(*version), operator, view))
        };
        all.into_iter().rev().map(named).collect()
    }

    /// Pages that were ever paid, ascending.
    pub fn earning_pages(&self) -> Result<Vec<u32>> {
        let mut pages = Vec::new();
        let mut from = vec![0; 4];
        while let [(key, _)] = &self.store.scan(Table::Earnings, &[], &from, 1)?[..] {
            let page =
                u32::from_be_bytes(*key.first_chunk().expect("keys of earnings hold a page"));
            pages.push(page);
            let Some(next) = page.checked_add(1) else { break };
            from = next.to_be_bytes().to_vec();
        }
        Ok(pages)
    }

    /// Cumulative gwei that an earner has claimed.
    pub fn claimed(&self, earner: EarnerIndex) -> Result<u64> {
        let row = get_row(&*self.store, Table::Claimed, &earner.0.to_be_bytes())?;
        Ok(row.unwrap_or(0))
    }

    /// All versions of a page's earnings, from 1.
    pub fn earnings_versions(&self, page: u32) -> Result<Vec<EarningsView>> {
        let all = rows(&*self.store, Table::Earnings, &page.to_be_bytes())?;
        Ok(all.into_iter().map(|(_, view)| view).collect())
    }
}
