//! A decoder whose shares are computed by ranks in this process.

use std::{panic::resume_unwind, path::Path, sync::Arc, thread};

use candle_core::Tensor;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{AdapterDelta, Decoder, LoadOptions, Share, SiteWeights};
use crate::{
    Error, Result,
    comm::{Comm, LocalComm},
    kv::KvStore,
    layers::lora::Sites,
    step::Step,
};

/// A model split over ranks that are groups of threads of this process.
///
/// Its results differ from those of a [`Decoder`] by rounding, because sums over ranks are made in
/// another order; they have the same bits from run to run for the same number of ranks.
#[derive(Debug)]
pub struct ParallelDecoder {
    ranks: Vec<Rank>,
}

#[derive(Debug)]
struct Rank {
    decoder: Decoder,
    /// Threads of its own: a rank that waits for another must not keep that one's work from running.
    pool: ThreadPool,
}

impl ParallelDecoder {
    /// Loads a model folder onto `world` ranks, which share the processor's threads equally.
    ///
    /// # Errors
    /// As [`Decoder::load_share`]; [`Error::Comm`] if threads cannot be started.
    pub fn load(dir: &Path, options: &LoadOptions, world: usize) -> Result<Self> {
        if world == 0 {
            return Err(Error::Config("a model over 0 ranks".into()));
        }
        let threads = (rayon::current_num_threads() / world).max(1);
        let rank = |rank| {
            let decoder = Decoder::load_share(dir, options, Share { rank, world })?;
            let name = move |thread| format!("rank-{rank}-{thread}");
            let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build();
            let pool = pool.map_err(|error| Error::Comm(format!("rank {rank}: {error}")))?;
            Ok(Rank { decoder, pool })
        };
        Ok(Self { ranks: (0..world).map(rank).collect::<Result<_>>()? })
    }

    /// The shares, in order of rank.
    pub fn shares(&self) -> impl ExactSizeIterator<Item = &Decoder> {
        self.ranks.iter().map(|rank| &rank.decoder)
    }

    /// An adapter's weights as each rank has them.
    ///
    /// # Errors
    /// As [`Decoder::share_of`] and [`Sites::new`].
    pub fn split(&self, weights: &[SiteWeights]) -> Result<Vec<Arc<Sites>>> {
        self.shares().map(|share| Ok(Arc::new(Sites::new(&share.share_of(weights)?)?))).collect()
    }

    /// [`Decoder::forward`] on all ranks; `kv` and `deltas` are those of each, and every rank's
    /// cache holds the same tokens.
    ///
    /// # Errors
    /// What a rank returns; [`Error::Request`] if there is not one of each per rank.
    pub fn forward(
        &self,
        step: &Step,
        kv: Option<Vec<&mut dyn KvStore>>,
        deltas: &[&dyn AdapterDelta],
    ) -> Result<Tensor> {
        let kv: Vec<Option<&mut dyn KvStore>> = match kv {
            Some(kv) => kv.into_iter().map(Some).collect(),
            None => deltas.iter().map(|_| None).collect(),
        };
        let (caches, parts, world) = (kv.len(), deltas.len(), self.ranks.len());
        if caches != world || parts != world {
            return Err(Error::Request(format!(
                "{caches} caches and {parts} deltas for {world} ranks"
            )));
        }
        let own = kv.into_iter().zip(deltas).collect();
        self.run(own, |decoder, comm, (kv, delta)| decoder.forward_shared(step, kv, *delta, comm))
    }

    /// [`Decoder::logits`] on all ranks.
    ///
    /// # Errors
    /// What a rank returns.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        self.run(vec![(); self.ranks.len()], |decoder, comm, ()| {
            decoder.logits_shared(hidden, comm)
        })
    }

    /// Runs `work` on all ranks, each with its own of `own`, and returns the first one's result.
    fn run<S: Send, T: Send>(
        &self,
        own: Vec<S>,
        work: impl Fn(&Decoder, &dyn Comm, S) -> Result<T> + Sync,
    ) -> Result<T> {
        let group = LocalComm::group(self.ranks.len());
        let mut results: Vec<Result<T>> = thread::scope(|scope| {
            let work = &work;
            let started: Vec<_> = self
                .ranks
                .iter()
                .zip(group)
                .zip(own)
                .map(|((rank, comm), own)| {
                    scope.spawn(move || {
                        rank.pool.install(|| {
                            let result = work(&rank.decoder, &comm, own)?;
                            comm.finish();
                            Ok(result)
                        })
                    })
                })
                .collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| resume_unwind(panic))
            };
            started.into_iter().map(join).collect()
        });
        // The rank that failed says why; the others only that it has.
        let is_cause =
            |result: &Result<T>| matches!(result, Err(e) if !matches!(e, Error::Comm(_)));
        let cause = results.iter().position(is_cause);
        let cause = cause.or_else(|| results.iter().position(Result::is_err));
        results.swap_remove(cause.unwrap_or(0))
    }
}
