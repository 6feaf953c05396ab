//! Training examples and the order in which they are seen.

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{Error, Result, step::Step};

/// A sequence of tokens whose log-likelihood is raised from one position on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Token ids, at least two.
    pub tokens: Vec<u32>,
    /// First token that counts, at least 1 (nothing predicts token 0) and below the length: tokens
    /// before it are context only.
    pub loss_from: usize,
}

impl Example {
    /// An example in which every token after the first counts.
    pub const fn whole(tokens: Vec<u32>) -> Self {
        Self { tokens, loss_from: 1 }
    }

    /// Checks the bounds stated on the fields.
    ///
    /// # Errors
    /// [`Error::Training`].
    pub fn validate(&self) -> Result<()> {
        if self.loss_from == 0 || self.loss_from >= self.tokens.len() {
            return Err(Error::Training(format!(
                "loss from token {} of {}",
                self.loss_from,
                self.tokens.len()
            )));
        }
        Ok(())
    }
}

/// Examples packed for one forward pass.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) step: Step,
    /// Rows of the step whose next token counts.
    pub(crate) rows: Vec<u32>,
    /// That next token, for each of `rows`.
    pub(crate) targets: Vec<u32>,
}

impl Batch {
    pub(crate) fn new<'a>(examples: impl IntoIterator<Item = &'a Example>) -> Result<Self> {
        let (mut rows, mut targets, mut start) = (Vec::new(), Vec::new(), 0);
        let examples: Vec<&Example> = examples.into_iter().collect();
        for example in &examples {
            example.validate()?;
            for at in example.loss_from..example.tokens.len() {
                rows.push((start + at - 1) as u32);
                targets.push(example.tokens[at]);
            }
            start += example.tokens.len();
        }
        let step = Step::whole(examples.iter().map(|example| example.tokens.as_slice()));
        Ok(Self { step, rows, targets })
    }
}

/// The numbers `0..count` in an order that depends on `seed` and `epoch` only.
pub fn shuffled(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch);
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut rng);
    order
}

/// Indices of the examples of a step, from 0, out of `count`, in the order of the batch: each epoch
/// sees all of them once, in an order that depends on the seed; an epoch's last batch may be smaller.
///
/// Whoever has a run's settings can tell which rows each step had.
///
/// # Panics
/// If `batch` is 0.
pub fn batch_at(count: usize, batch: usize, seed: u64, step: u64) -> Vec<usize> {
    let per_epoch = count.div_ceil(batch).max(1) as u64;
    let (epoch, within) = (step / per_epoch, step % per_epoch);
    let first = within as usize * batch;
    shuffled(count, seed, epoch)[first..count.min(first + batch)].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_pairs_each_counted_token_with_the_row_before_it() {
        let examples =
            [Example::whole(vec![1, 2, 3]), Example { tokens: vec![4, 5, 6, 7], loss_from: 3 }];
        let batch = Batch::new(&examples).unwrap();
        assert_eq!(batch.step.positions, [0, 1, 2, 0, 1, 2, 3]);
        assert_eq!(batch.rows, [0, 1, 5]);
        assert_eq!(batch.targets, [2, 3, 7]);
    }

    #[test]
    fn example_without_counted_tokens_is_an_error() {
        for loss_from in [0, 2, 9] {
            assert!(Batch::new([&Example { tokens: vec![1, 2], loss_from }]).is_err());
        }
    }

    #[test]
    fn steps_of_an_epoch_see_every_example_once() {
        for (count, batch) in [(10usize, 3), (9, 3), (2, 5), (1, 1)] {
            let per_epoch = count.div_ceil(batch) as u64;
            for epoch in 0..3 {
                let steps = epoch * per_epoch..(epoch + 1) * per_epoch;
                let seen: Vec<usize> = steps.flat_map(|s| batch_at(count, batch, 7, s)).collect();
                assert_eq!(seen, shuffled(count, 7, epoch));
            }
        }
    }

    #[test]
    fn order_is_a_permutation_that_depends_on_seed_and_epoch() {
        let mut order = shuffled(100, 7, 0);
        assert_eq!(order, shuffled(100, 7, 0));
        assert_ne!(order, shuffled(100, 7, 1));
        assert_ne!(order, shuffled(100, 8, 0));
        order.sort_unstable();
        assert!(order.into_iter().eq(0..100));
    }
}
