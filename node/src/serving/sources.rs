//! Sources of a call that asks for them.

use std::{collections::BTreeSet, sync::Arc};

use alloy::primitives::B256;
use attribution::retrieval::{Hit, assemble};
use tokio::time::Instant;

use super::{Serving, encode, run::within};
use crate::{
    api::{
        error::ApiError,
        request::{CallRequest, Prompt},
    },
    registry::ModelView,
    retrieval::{Grounding, Scope, question, with_sources},
};

/// A request with its sources before the question.
#[derive(Debug)]
pub(super) struct Sourced {
    pub(super) prompt: Prompt,
    /// The sources, in the order of their numbers; none if nothing was found, and then the prompt is
    /// the request's own.
    pub(super) hits: Vec<Hit>,
}

impl Serving {
    /// Finds the sources of a call, as many as its prompt has room for. `None` if it asks for none.
    ///
    /// # Errors
    /// 400 if this node or the model has nothing to retrieve from, no record would name the sources, or
    /// the prompt has no room for them; else as [`crate::retrieval::Retrieval::search`]; 504 if it
    /// takes too long.
    pub(super) async fn sourced(
        &self,
        request: &CallRequest,
        view: &ModelView,
        is_recorded: bool,
        granted: &BTreeSet<B256>,
        deadline: Instant,
    ) -> Result<Option<Sourced>, ApiError> {
        let Some(asked) = &request.retrieval else { return Ok(None) };
        let refused = |message: &str| Err(ApiError::invalid("retrieval", message));
        let Some(retrieval) = &self.parts.retrieval else {
            return refused("this node retrieves nothing");
        };
        if !is_recorded {
            return refused("sources are paid by a record, and none can be made of this call");
        }
        if view.datanets.is_empty() {
            return refused("the model has no Datanets to retrieve from");
        }
        let scope = Scope::Model(&view.datanets);
        let search = retrieval.search(question(&request.prompt), scope, asked, granted);
        let hits = within(deadline, search).await??;
        let (catalog, prompt) = (Arc::clone(&self.parts.catalog), request.prompt.clone());
        let budget = self.prompt_budget(request.max_tokens);
        let work = tokio::task::spawn_blocking(move || {
            // What is wrong with the request itself is told as such.
            encode(&catalog, &prompt)?;
            fit(&prompt, hits, budget, |prompt| {
                // A row that no prompt can hold, such as one with a special token, fits none.
                encode(&catalog, prompt).map_or(usize::MAX, |tokens| tokens.len())
            })
        });
        work.await.map_err(|error| ApiError::internal(&error))?.map(Some)
    }

    /// Most tokens of a prompt whose answer may have as many as are asked for.
    fn prompt_budget(&self, max_tokens: Option<u64>) -> usize {
        let (config, positions) = (self.parts.config, self.parts.catalog.max_positions());
        let wanted = max_tokens.and_then(|wanted| usize::try_from(wanted).ok());
        let answer = wanted.unwrap_or(config.max_new_tokens).max(1);
        config.max_prompt_tokens.min(positions.saturating_sub(answer))
    }

    /// Refuses a recorded answer to whoever may not see its sources.
    ///
    /// # Errors
    /// 404.
    pub(super) fn check_sources(
        &self,
        grounding: Option<&Grounding>,
        granted: &BTreeSet<B256>,
    ) -> Result<(), ApiError> {
        let (Some(grounding), Some(retrieval)) = (grounding, &self.parts.retrieval) else {
            return Ok(());
        };
        let mut datanets = grounding.sources.iter().map(|source| source.place.datanet);
        if datanets.all(|datanet| retrieval.may_read(datanet, granted)) {
            return Ok(());
        }
        let message = "no such Datanet can be searched by this caller";
        Err(ApiError::not_found("datanet_not_found", message).about("retrieval.datanets"))
    }
}

/// The prompt with the hits that fit `budget` tokens of all of it, as `count` counts them.
fn fit(
    prompt: &Prompt,
    hits: Vec<Hit>,
    budget: usize,
    count: impl Fn(&Prompt) -> usize,
) -> Result<Sourced, ApiError> {
    if hits.is_empty() {
        return Ok(Sourced { prompt: prompt.clone(), hits });
    }
    let of_whole = |text: &str| count(&with_sources(prompt, text));
    let assembled = assemble(&hits, budget, &of_whole).map_err(|_| {
        let message = format!("sources do not fit beside this question into {budget} tokens");
        let error = ApiError::invalid("retrieval", message);
        ApiError { code: "context_length_exceeded", ..error }
    })?;
    if assembled.sources.is_empty() {
        return Ok(Sourced { prompt: prompt.clone(), hits: Vec::new() });
    }
    let mut hits: Vec<Option<Hit>> = hits.into_iter().map(Some).collect();
    let chosen = assembled.sources.iter().filter_map(|place| hits[*place].take()).collect();
    Ok(Sourced { prompt: with_sources(prompt, &assembled.text), hits: chosen })
}
