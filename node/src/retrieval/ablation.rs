//! The audit of an answer: which of its sources it came from, whatever it cites.

use alloy::primitives::B256;
use attribution::retrieval::{
    AblationConfig, Agreement, Hit, Row, Surrogate, agreement, prompt_text,
};
use inference::{
    model::{AdapterDelta, NoAdapter},
    train::{Example, held_out_loss},
};

use super::{DatanetRows, Grounding, Unread, with_sources};
use crate::{
    Error, Result,
    api::request::{CallRequest, Endpoint, Prompt},
    catalog::{Catalog, ServedModel},
    serving::{StoredAnswer, encode},
};

/// What an audit found.
#[derive(Clone, Debug, PartialEq)]
pub struct Ablation {
    /// How much each source adds to the answer, in the order of their numbers.
    pub surrogate: Surrogate,
    /// How far that agrees with the weights (relevance times uses) that the sources are paid by.
    pub agreement: Agreement,
    /// Those weights, 0 for what is not cited.
    pub weights: Vec<u64>,
    /// Tokens of the answer.
    pub tokens: usize,
}

/// Audits a recorded answer: the log-likelihood that the model gives its text with random subsets of
/// its sources, sources keeping their numbers ([`attribution::retrieval::ablate`]). It takes as many
/// forward passes as `config` says, on the calling thread; `answer_tokens` is set here.
///
/// The text's tokens are those that the tokenizer makes of it, which may be cut otherwise than they
/// were generated.
///
/// - `request`: body of the call
///
/// # Errors
/// [`Error::Attribution`] if the answer has no sources or no text, the request is not one for it, or
/// the rows of its sources are not here; [`Error::Inference`] if it does not fit the model.
pub fn ablate(
    catalog: &Catalog,
    rows: &DatanetRows,
    model: B256,
    request: &[u8],
    answer: &StoredAnswer,
    config: AblationConfig,
) -> Result<Ablation> {
    let refused = |why: &str| Error::Attribution(why.to_owned());
    let grounding = answer.retrieval.as_ref().ok_or_else(|| refused("it asked for no sources"))?;
    let served = catalog.models().iter().find(|served| served.id == model);
    let served = served.ok_or_else(|| refused("its model is not served here"))?;
    let request = Endpoint::of(request)
        .and_then(|endpoint| CallRequest::parse(endpoint, request))
        .map_err(|error| Error::Attribution(error.message))?;
    let asked = request.retrieval.as_ref().ok_or_else(|| refused("it asked for no sources"))?;
    let sources = match rows.sources(model, asked, &grounding.document(&answer.text))? {
        Ok(sources) => sources,
        Err(Unread::Unknown(of)) => {
            let why = format!("rows of version {} of {} are not here", of.version, of.id);
            return Err(Error::Attribution(why));
        }
        Err(Unread::Impossible(why)) => return Err(Error::Attribution(why)),
    };
    let tokens = catalog.tokenizer().encode(&answer.text)?;
    let read = Reading { catalog, served, prompt: &request.prompt, sources, tokens };
    let config = AblationConfig { answer_tokens: read.tokens.len(), ..config };
    let mut failure = None;
    let mut likelihood = |kept: &[bool]| {
        read.log_likelihood(kept).map_err(|error| {
            failure = Some(error);
            // What is told is the failure itself.
            attribution::Error::NotFinite("log-likelihoods")
        })
    };
    let surrogate = attribution::retrieval::ablate(read.sources.len(), &config, &mut likelihood);
    if let Some(error) = failure {
        return Err(error);
    }
    let surrogate = surrogate.map_err(|error| Error::Attribution(error.to_string()))?;
    let weights = weights(grounding);
    let agreement = agreement(&surrogate.scores, &weights);
    Ok(Ablation { surrogate, agreement, weights, tokens: read.tokens.len() })
}

/// An answer as its model reads it.
struct Reading<'a> {
    catalog: &'a Catalog,
    served: &'a ServedModel,
    prompt: &'a Prompt,
    sources: Vec<Hit>,
    tokens: Vec<u32>,
}

impl Reading<'_> {
    /// Natural logarithm of the answer's probability behind the prompt with these sources.
    fn log_likelihood(&self, kept: &[bool]) -> Result<f64> {
        let numbered = (1..).zip(self.sources.iter().map(|source| &source.row)).zip(kept);
        let shown: Vec<(usize, &Row)> =
            numbered.filter_map(|(source, kept)| kept.then_some(source)).collect();
        let prompt = with_sources(self.prompt, &prompt_text(shown));
        let mut tokens =
            encode(self.catalog, &prompt).map_err(|error| Error::Attribution(error.message))?;
        let loss_from = tokens.len();
        tokens.extend(&self.tokens);
        let example = Example { tokens, loss_from };
        let delta: &dyn AdapterDelta = match &self.served.adapter {
            Some(adapter) => &adapter.lora,
            None => &NoAdapter,
        };
        let nats = held_out_loss(&self.served.decoder, delta, &[example])?;
        // A mean of logarithms that rounding may leave a little above nothing.
        Ok((-nats * self.tokens.len() as f64).min(0.0))
    }
}

/// What each source is paid by.
fn weights(grounding: &Grounding) -> Vec<u64> {
    let mut weights = vec![0; grounding.sources.len()];
    for cited in &grounding.citations {
        let relevance = grounding.source(cited.mark).map_or(0, |source| source.place.relevance);
        if let Some(weight) = weights.get_mut(cited.mark as usize - 1) {
            *weight = u64::from(relevance) * u64::from(cited.uses);
        }
    }
    weights
}
