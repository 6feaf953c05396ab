//! Computes who an answer is owed to, on threads of its own.
//!
//! One answer's gradient takes about as long as reading the answer once more, forwards and
//! backwards. A bounded queue keeps a burst of short answers from holding all memory; a caller that
//! went away is skipped.

use std::sync::{Arc, Mutex, PoisonError};

use attribution::settle::EarnerIndex;
use inference::gradient::row_gradient;
use tokio::sync::{mpsc, oneshot};

use crate::{
    Error, Result,
    catalog::{FoundSpan, ServedModel},
    factory::site_gradients,
};

/// What an answer's attribution found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributed {
    /// The answer's int8 sketch, `(d,)`; empty for a model without an index.
    pub sketch: Vec<i8>,
    /// `S_c` of every contributor of the model's index.
    pub scores: Vec<(EarnerIndex, i64)>,
    /// Spans of the answer that rows of the model hold, by place; none for a model without a span
    /// index.
    pub spans: Vec<FoundSpan>,
}

/// An answer to attribute.
#[derive(Debug)]
struct Job {
    model: Arc<ServedModel>,
    tokens: Vec<u32>,
    loss_from: usize,
    reply: oneshot::Sender<Result<Attributed>>,
}

/// Asks the attributor. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AttributorHandle {
    jobs: mpsc::Sender<Job>,
}

impl AttributorHandle {
    /// Starts `threads` threads over a queue of `queue` answers. They end when all handles are
    /// dropped.
    ///
    /// # Errors
    /// [`Error::Io`] if a thread cannot be started.
    pub fn start(threads: usize, queue: usize) -> Result<Self> {
        let (jobs, receiver) = mpsc::channel(queue.max(1));
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..threads.max(1) {
            let receiver = Arc::clone(&receiver);
            std::thread::Builder::new()
                .name(format!("attributor-{number}"))
                .spawn(move || work(&receiver))
                .map_err(Error::io("attributor thread"))?;
        }
        Ok(Self { jobs })
    }

    /// Attributes an answer: the gradient of the log-likelihood of `tokens[loss_from..]` given the
    /// tokens before them.
    ///
    /// # Errors
    /// [`Error::Inference`] or [`Error::Attribution`] if the tokens do not fit the model,
    /// [`Error::Stopped`] if the threads are gone.
    pub async fn attribute(
        &self,
        model: Arc<ServedModel>,
        tokens: Vec<u32>,
        loss_from: usize,
    ) -> Result<Attributed> {
        let (reply, answer) = oneshot::channel();
        let job = Job { model, tokens, loss_from, reply };
        self.jobs.send(job).await.map_err(|_| Error::Stopped("attributor"))?;
        answer.await.map_err(|_| Error::Stopped("attributor"))?
    }
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // Only taking a job is under the lock, so a panic in a job cannot poison it.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(job) = job else { return };
        if job.reply.is_closed() {
            continue;
        }
        let result = attribute(&job.model, &job.tokens, job.loss_from);
        // The caller may be gone by now.
        let _ = job.reply.send(result);
    }
}

/// Attributes an answer on the calling thread; see [`AttributorHandle::attribute`].
///
/// # Errors
/// As there.
pub fn attribute(model: &ServedModel, tokens: &[u32], loss_from: usize) -> Result<Attributed> {
    let (sketch, scores) = influence(model, tokens, loss_from)?;
    let answer = tokens.get(loss_from..).unwrap_or(&[]);
    let spans = model.spans.as_ref().map(|spans| spans.find(answer)).transpose()?;
    Ok(Attributed { sketch, scores, spans: spans.unwrap_or_default() })
}

/// An answer's sketch and what its contributors score by it.
type Influence = (Vec<i8>, Vec<(EarnerIndex, i64)>);

fn influence(model: &ServedModel, tokens: &[u32], loss_from: usize) -> Result<Influence> {
    let Some(served) = &model.adapter else { return Ok((vec![], vec![])) };
    let index = &served.index;
    let sketch = if loss_from >= tokens.len() || index.is_silent() {
        // Nothing was generated, or no gradient counts: that of an empty sum.
        vec![0; index.dim()]
    } else {
        let gradient = row_gradient(&model.decoder, &served.lora, tokens, loss_from)?;
        index.query(&site_gradients(&gradient)).map_err(attribution)?
    };
    let scores = index.score_contributors(&sketch).map_err(attribution)?;
    let earners = index.contributors().iter().map(|contributor| contributor.earner);
    Ok((sketch, earners.zip(scores).collect()))
}

fn attribution(error: attribution::Error) -> Error {
    Error::Attribution(error.to_string())
}
