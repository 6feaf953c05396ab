//! What a key's calls may cost in one day.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    Result,
    store::{SharedStore, Table, WriteBatch, get_row},
};

/// `keys/spent/, name -> Row`
const SPENT: &[u8] = b"keys/spent/";
const DAY_SECONDS: u64 = 86_400;

/// A day, and what was spent in it with the largest fees of the calls that had not ended when it was
/// written: a node that is killed takes those for spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Row {
    day: u64,
    gwei: u64,
}

/// A key's spending in a day of the chain's time (UTC), against its limit.
#[derive(Clone, Debug)]
pub struct Budget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: SharedStore,
    key: Vec<u8>,
    limit: Option<u64>,
    row: Mutex<Row>,
}

/// What is set aside for a call; given back when it is dropped.
#[derive(Debug)]
pub struct Spending {
    budget: Budget,
    day: u64,
    held: u64,
}

impl Budget {
    /// The spending of the key of this name, as far as it is written down.
    ///
    /// # Errors
    /// [`crate::Error::Store`].
    pub fn load(store: SharedStore, name: &str, limit: Option<u64>) -> Result<Self> {
        let key = [SPENT, name.as_bytes()].concat();
        let row = Mutex::new(get_row(&*store, Table::Meta, &key)?.unwrap_or_default());
        Ok(Self { inner: Arc::new(Inner { store, key, limit, row }) })
    }

    /// Most gwei a day; `None` is no limit.
    pub fn limit(&self) -> Option<u64> {
        self.inner.limit
    }

    /// Sets `fee` gwei aside at `time` (seconds); `None` if the day's limit does not allow it. Waits
    /// for the disk.
    ///
    /// # Errors
    /// [`crate::Error::Store`]; then nothing is set aside.
    pub fn hold(&self, fee: u64, time: u64) -> Result<Option<Spending>> {
        let day = time / DAY_SECONDS;
        let Some(limit) = self.inner.limit else {
            return Ok(Some(Spending { budget: self.clone(), day, held: 0 }));
        };
        let mut row = self.row();
        let spent = if row.day == day { row.gwei } else { 0 };
        let Some(gwei) = spent.checked_add(fee).filter(|gwei| *gwei <= limit) else {
            return Ok(None);
        };
        let next = Row { day, gwei };
        self.write(next)?;
        *row = next;
        Ok(Some(Spending { budget: self.clone(), day, held: fee }))
    }

    /// Gwei spent and set aside in the day of `time`.
    pub fn spent(&self, time: u64) -> u64 {
        let row = self.row();
        if row.day == time / DAY_SECONDS { row.gwei } else { 0 }
    }

    fn row(&self) -> MutexGuard<'_, Row> {
        // Every change is one assignment, so a panic elsewhere cannot leave it half done.
        self.inner.row.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, row: Row) -> Result<()> {
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Meta, self.inner.key.clone(), &row);
        self.inner.store.write(batch)
    }
}

impl Spending {
    /// The call has cost `fee` gwei; the rest is given back.
    pub fn settle(mut self, fee: u64) {
        self.held = self.held.saturating_sub(fee);
    }
}

impl Drop for Spending {
    fn drop(&mut self) {
        let mut row = self.budget.row();
        if self.held > 0 && row.day == self.day {
            row.gwei = row.gwei.saturating_sub(self.held);
            // Written with the next call; until then the file only says more than was spent.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn a_day_has_its_limit_and_calls_give_back_what_they_did_not_cost() {
        let store: SharedStore = Arc::new(MemoryStore::default());
        let budget = Budget::load(Arc::clone(&store), "ana", Some(100)).unwrap();
        let first = budget.hold(60, 1000).unwrap().unwrap();
        assert!(budget.hold(41, 1000).unwrap().is_none());
        let second = budget.hold(40, 1000).unwrap().unwrap();
        first.settle(10);
        assert_eq!(budget.spent(1000), 50);
        drop(second);
        assert_eq!(budget.spent(1000), 10);
        // The next day begins with nothing, and what is left over of the last is no credit in it.
        let late = budget.hold(90, 1000).unwrap().unwrap();
        let next = budget.hold(100, DAY_SECONDS).unwrap().unwrap();
        drop(late);
        assert_eq!(budget.spent(DAY_SECONDS), 100);
        next.settle(100);
        assert_eq!(budget.spent(DAY_SECONDS), 100);
    }

    #[test]
    fn a_killed_node_takes_open_calls_for_spent() {
        let store: SharedStore = Arc::new(MemoryStore::default());
        let budget = Budget::load(Arc::clone(&store), "ana", Some(100)).unwrap();
        let open = budget.hold(60, 1000).unwrap();
        let again = Budget::load(Arc::clone(&store), "ana", Some(100)).unwrap();
        assert_eq!(again.spent(1000), 60);
        assert_eq!(Budget::load(store, "ben", Some(100)).unwrap().spent(1000), 0);
        drop(open);
    }

    #[test]
    fn without_a_limit_nothing_is_refused() {
        let budget = Budget::load(Arc::new(MemoryStore::default()), "ana", None).unwrap();
        assert!(budget.hold(u64::MAX, 0).unwrap().is_some());
        assert!(budget.hold(u64::MAX, 0).unwrap().is_some());
    }
}
