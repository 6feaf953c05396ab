//! How the ranks of a model that is split over several of them talk to each other.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::{Error, Result};

/// One rank's end of a group. Every rank makes the same calls in the same order, each with as many
/// values; a call returns when all ranks have made it.
pub trait Comm: Sync {
    /// Which rank this is, below [`Self::world`].
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn world(&self) -> usize;

    /// Replaces `values` with the sum over all ranks, the same bits on each.
    ///
    /// # Errors
    /// [`Error::Comm`] if another rank has given up or passed another number of values.
    fn all_reduce_sum(&self, values: &mut [f32]) -> Result<()>;

    /// The values of all ranks, one after another in order of rank.
    ///
    /// # Errors
    /// As [`Self::all_reduce_sum`].
    fn all_gather(&self, values: &[f32]) -> Result<Vec<f32>>;
}

/// A group of one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Comm for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn world(&self) -> usize {
        1
    }

    fn all_reduce_sum(&self, _values: &mut [f32]) -> Result<()> {
        Ok(())
    }

    fn all_gather(&self, values: &[f32]) -> Result<Vec<f32>> {
        Ok(values.to_vec())
    }
}

/// A rank that is a thread of this process. Sums are made in order of rank.
///
/// A rank that is dropped before its work is done ([`Self::finish`]) makes the calls of the others
/// fail instead of leaving them to wait.
#[derive(Debug)]
pub struct LocalComm {
    rank: usize,
    group: Arc<Group>,
    finished: bool,
}

#[derive(Debug)]
struct Group {
    world: usize,
    round: Mutex<Round>,
    changed: Condvar,
}

/// One call of all ranks.
#[derive(Debug, Default)]
struct Round {
    number: u64,
    /// What has come, by rank.
    values: Vec<Option<Vec<f32>>>,
    come: usize,
    /// Everything of the round before. Nobody can replace it before all have taken it: the round
    /// that follows needs them all.
    done: Arc<Vec<Vec<f32>>>,
    given_up: Option<usize>,
}

impl LocalComm {
    /// The ends of a new group, in order of rank.
    pub fn group(world: usize) -> Vec<Self> {
        let round = Mutex::new(Round { values: vec![None; world], ..Round::default() });
        let group = Arc::new(Group { world, round, changed: Condvar::new() });
        let end = |rank| Self { rank, group: Arc::clone(&group), finished: false };
        (0..world).map(end).collect()
    }

    /// This rank's work is done: no other will wait for it.
    pub fn finish(mut self) {
        self.finished = true;
    }

    fn exchange(&self, values: &[f32]) -> Result<Arc<Vec<Vec<f32>>>> {
        let mut round = self.group.round();
        let number = round.number;
        if let Some(rank) = round.given_up {
            return Err(given_up(rank));
        }
        round.values[self.rank] = Some(values.to_vec());
        round.come += 1;
        if round.come == self.group.world {
            round.done = Arc::new(round.values.iter_mut().filter_map(Option::take).collect());
            (round.come, round.number) = (0, number + 1);
            self.group.changed.notify_all();
        }
        while round.number == number {
            if let Some(rank) = round.given_up {
                return Err(given_up(rank));
            }
            let waited = self.group.changed.wait(round);
            round = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let all = Arc::clone(&round.done);
        drop(round);
        match all.iter().find(|theirs| theirs.len() != values.len()) {
            Some(theirs) => {
                let (theirs, own) = (theirs.len(), values.len());
                Err(Error::Comm(format!("{theirs} values of one rank, {own} of another")))
            }
            None => Ok(all),
        }
    }
}

fn given_up(rank: usize) -> Error {
    Error::Comm(format!("rank {rank} has given up"))
}

impl Group {
    fn round(&self) -> MutexGuard<'_, Round> {
        // Nothing panics while holding the lock.
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LocalComm {
    fn drop(&mut self) {
        if !self.finished {
            self.group.round().given_up = Some(self.rank);
            self.group.changed.notify_all();
        }
    }
}

impl Comm for LocalComm {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world(&self) -> usize {
        self.group.world
    }

    fn all_reduce_sum(&self, values: &mut [f32]) -> Result<()> {
        let all = self.exchange(values)?;
        let (first, rest) = all.split_first().expect("a group has a rank");
        values.copy_from_slice(first);
        for theirs in rest {
            values.iter_mut().zip(theirs).for_each(|(sum, value)| *sum += value);
        }
        Ok(())
    }

    fn all_gather(&self, values: &[f32]) -> Result<Vec<f32>> {
        Ok(self.exchange(values)?.concat())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Runs `work` on a thread for each rank.
    fn ranks<T: Send>(world: usize, work: impl Fn(LocalComm) -> T + Sync) -> Vec<T> {
        thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = LocalComm::group(world)
                .into_iter()
                .map(|comm| scope.spawn(move || work(comm)))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn sums_are_made_in_order_of_rank_and_are_the_same_everywhere() {
        for world in 1..=5 {
            let all = ranks(world, |comm| {
                let mut sums = Vec::new();
                for round in 0..200 {
                    // Of such different sizes that another order would have other bits.
                    let mut value = [0.1 * 10f32.powi(((comm.rank() * 7 + round) % 11) as i32 - 5)];
                    comm.all_reduce_sum(&mut value).unwrap();
                    sums.push(value[0].to_bits());
                }
                comm.finish();
                sums
            });
            for (round, sum) in all[0].iter().enumerate() {
                let value = |rank| 0.1 * 10f32.powi(((rank * 7 + round) % 11) as i32 - 5);
                let expected = (1..world).fold(value(0), |sum, rank| sum + value(rank));
                assert_eq!(*sum, expected.to_bits());
            }
            assert!(all.iter().all(|sums| *sums == all[0]));
        }
    }

    #[test]
    fn gathered_values_are_in_order_of_rank() {
        let all = ranks(3, |comm| {
            let own = [comm.rank() as f32, 10.0];
            let gathered = comm.all_gather(&own).unwrap();
            comm.finish();
            gathered
        });
        assert!(all.iter().all(|values| *values == [0.0, 10.0, 1.0, 10.0, 2.0, 10.0]));
    }

    #[test]
    fn ranks_that_give_up_or_disagree_leave_nobody_waiting() {
        let all = ranks(3, |comm| {
            if comm.rank() == 1 {
                return None;
            }
            let result = comm.all_reduce_sum(&mut [1.0]);
            Some(result.unwrap_err().to_string())
        });
        assert!(all.iter().flatten().all(|error| error.contains("has given up")), "{all:?}");
        let all = ranks(2, |comm| comm.all_gather(&vec![1.0; comm.rank() + 1]).is_err());
        assert_eq!(all, [true, true]);
    }
}
