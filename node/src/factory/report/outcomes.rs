//! What the model's recipe gives on halves of its rows: the losses of held-out rows.

use std::path::Path;

use alloy::primitives::{B256, keccak256};
use inference::{
    model::Decoder,
    train::{Settings, TrainableLora, Trainer, held_out_loss},
    weights::write_atomically,
};

use super::{
    ReportProgress, SEEDS,
    file::rounded,
    recipe::{Recipe, Sets},
};
use crate::{Error, Result};

/// Losses in nats per token to nine decimals, by half, seed and query.
pub(super) type Outcomes = Vec<[Vec<f64>; SEEDS]>;

/// Retrainings of one model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs<'a> {
    pub(super) decoder: &'a Decoder,
    pub(super) recipe: &'a Recipe,
    pub(super) sets: &'a Sets,
    /// What all seeds follow from.
    pub(super) seed: B256,
}

impl Runs<'_> {
    /// What the losses depend on, but for the half and the run's seed.
    pub(super) fn identity(&self) -> Result<B256> {
        let queries = self.sets.queries.iter().flat_map(|(row, _)| row.hash);
        let parts = [&self.recipe.base[..], &self.recipe.log, self.seed.as_slice(), b"halves 1"];
        Ok(keccak256(parts.concat().into_iter().chain(queries).collect::<Vec<u8>>()))
    }

    /// The losses of every run; those in `cache` are not computed again.
    pub(super) fn all(
        &self,
        halves: &[Vec<u32>],
        cache: &Path,
        progress: &mut dyn FnMut(ReportProgress),
    ) -> Result<Outcomes> {
        let steps = self.recipe.halved.schedule.steps;
        let total = (halves.len() * SEEDS) as u64 * steps;
        let mut done = 0;
        let mut outcomes = Outcomes::new();
        for (number, half) in (0u64..).zip(halves) {
            let mut of_half: [Vec<f64>; SEEDS] = Default::default();
            for (run, losses) in (0u64..).zip(&mut of_half) {
                let path = cache.join(format!("{number}-{run}"));
                let mut step = |step: u64| {
                    progress(ReportProgress { stage: "retraining", done: done + step, total });
                };
                *losses = match read(&path, self.sets.queries.len())? {
                    Some(known) => known,
                    None => {
                        let fresh = self.losses(half, number, run, &mut step)?;
                        let bytes: Vec<u8> = fresh.iter().flat_map(|x| x.to_le_bytes()).collect();
                        write_atomically(&path, &bytes)?;
                        fresh
                    }
                };
                step(steps);
                done += steps;
            }
            outcomes.push(of_half);
        }
        Ok(outcomes)
    }

    fn losses(
        &self,
        half: &[u32],
        number: u64,
        run: u64,
        step: &mut dyn FnMut(u64),
    ) -> Result<Vec<f64>> {
        let seed = seed_of(self.seed, "run", number, run);
        let examples: Vec<_> =
            half.iter().map(|&place| self.sets.examples[place as usize].clone()).collect();
        let lora = TrainableLora::new(self.decoder, &self.recipe.lora, seed)?;
        let settings = Settings { seed, ..self.recipe.halved.clone() };
        let mut trainer = Trainer::new(lora.variables(), settings)?;
        trainer.run(self.decoder, &lora, &examples, |_, done| {
            step(done.step);
            Ok(())
        })?;
        let loss = |(_, example): &(_, inference::train::Example)| {
            Ok(rounded(held_out_loss(self.decoder, &lora, std::slice::from_ref(example))?))
        };
        self.sets.queries.iter().map(loss).collect()
    }
}

/// A seed for one purpose: the first eight bytes of
/// `keccak256("OpenLedger report", seed, purpose, half, run)`, big-endian.
pub(super) fn seed_of(seed: B256, purpose: &str, half: u64, run: u64) -> u64 {
    let numbers = [half.to_be_bytes(), run.to_be_bytes()].concat();
    let parts = [b"OpenLedger report", seed.as_slice(), purpose.as_bytes(), &numbers];
    let hash = keccak256(parts.concat());
    u64::from_be_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
}

/// Losses of an earlier run; `None` if there are none of this many queries.
fn read(path: &Path, queries: usize) -> Result<Option<Vec<f64>>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path)(error)),
    };
    let (losses, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() || losses.len() != queries {
        return Ok(None);
    }
    Ok(Some(losses.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()))
}
