//! From a request to what the engine is given.

use std::{fmt, sync::Arc};

use inference::sampler::TokenMask;

use crate::{
    api::{
        error::ApiError,
        request::{CallRequest, Prompt, ResponseFormat},
    },
    catalog::Catalog,
};

/// A request in the model's terms.
pub(crate) struct Understood {
    /// Tokens of the rendered prompt.
    pub(crate) prompt: Vec<u32>,
    /// What the answer's form allows.
    pub(crate) mask: Option<Box<dyn TokenMask>>,
}

impl fmt::Debug for Understood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Understood").field("prompt", &self.prompt.len()).finish_non_exhaustive()
    }
}

/// Encodes a prompt, a request's own or that with its sources, and compiles the request's schema. Both take milliseconds, so this is not done on
/// the runtime.
///
/// # Errors
/// 400 if the prompt cannot be encoded, the schema is refused, or a token is not the model's.
pub(crate) async fn understand(
    catalog: &Arc<Catalog>,
    request: &CallRequest,
    prompt: Prompt,
) -> Result<Understood, ApiError> {
    let sampling = request.sampling.validate(catalog.vocab());
    sampling.map_err(|error| ApiError::invalid("logit_bias", error.to_string()))?;
    let (catalog, format) = (Arc::clone(catalog), request.format.clone());
    let work = tokio::task::spawn_blocking(move || {
        let mask = mask(&catalog, &format)?;
        encode(&catalog, &prompt).map(|prompt| Understood { prompt, mask })
    });
    work.await.map_err(|error| ApiError::internal(&error))?
}

/// Tokens of a prompt, rendered with the model's template if it is a conversation.
///
/// # Errors
/// 400 if it cannot be encoded.
pub(crate) fn encode(catalog: &Catalog, prompt: &Prompt) -> Result<Vec<u32>, ApiError> {
    let (field, encoded) = match prompt {
        Prompt::Chat(messages) => ("messages", catalog.tokenizer().encode_chat(messages)),
        Prompt::Text(text) => ("prompt", catalog.tokenizer().encode_prompt(text)),
    };
    encoded.map_err(|error| ApiError::invalid(field, error.to_string()))
}

fn mask(
    catalog: &Catalog,
    format: &ResponseFormat,
) -> Result<Option<Box<dyn TokenMask>>, ApiError> {
    let ResponseFormat::Json(schema) = format else { return Ok(None) };
    let wrong = |message: String| ApiError::invalid("response_format", message);
    let grammars = catalog
        .grammars()
        .ok_or_else(|| wrong("the model's tokens do not allow JSON answers".into()))?;
    let mask = grammars.json(schema).map_err(|error| wrong(format!("schema: {error}")))?;
    Ok(Some(Box::new(mask)))
}
