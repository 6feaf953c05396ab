//! Conversations and texts.

use serde::Deserialize;
use utoipa::ToSchema;

use super::{ChatMessage, Endpoint, OneOrMany, Prompt};
use crate::api::error::ApiError;

/// Most messages in a chat.
const MAX_MESSAGES: usize = 256;

/// One turn of a conversation.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ChatMessage)]
pub struct WireMessage {
    /// `system` (or `developer`), `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: Content,
}

/// A turn's text, whole or in parts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = MessageContent)]
pub enum Content {
    /// The whole text.
    Text(String),
    /// Parts that are joined; only text is known.
    Parts(Vec<ContentPart>),
}

/// A part of a turn.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ContentPart {
    /// `text`
    #[serde(rename = "type")]
    pub kind: String,
    /// The text.
    pub text: Option<String>,
}

impl Content {
    fn into_text(self) -> Result<String, ApiError> {
        let parts = match self {
            Self::Text(text) => return Ok(text),
            Self::Parts(parts) => parts,
        };
        let text = |part: ContentPart| match (part.kind.as_str(), part.text) {
            ("text", Some(text)) => Ok(text),
            (kind, _) => {
                let kind: String = kind.chars().take(64).collect();
                Err(ApiError::invalid("messages", format!("content of type {kind:?}")))
            }
        };
        parts.into_iter().map(text).collect()
    }
}

/// The prompt of a body.
pub(super) fn prompt(
    endpoint: Endpoint,
    messages: Option<Vec<WireMessage>>,
    text: Option<OneOrMany>,
) -> Result<Prompt, ApiError> {
    // The endpoint is not part of what is signed: the body alone must say what is asked.
    let stray = match endpoint {
        Endpoint::Chat => text.is_some().then_some("prompt"),
        Endpoint::Text => messages.is_some().then_some("messages"),
        Endpoint::Embeddings => Some("messages"),
    };
    if let Some(field) = stray {
        return Err(ApiError::invalid(field, format!("{field} is of the other endpoint")));
    }
    if endpoint == Endpoint::Text {
        return single(text).map(Prompt::Text);
    }
    let messages = messages.ok_or_else(|| ApiError::invalid("messages", "messages is missing"))?;
    if messages.is_empty() || messages.len() > MAX_MESSAGES {
        let count = messages.len();
        return Err(ApiError::invalid(
            "messages",
            format!("{count} messages, not 1 to {MAX_MESSAGES}"),
        ));
    }
    messages.into_iter().map(message).collect::<Result<_, _>>().map(Prompt::Chat)
}

fn single(text: Option<OneOrMany>) -> Result<String, ApiError> {
    match text {
        None => Err(ApiError::invalid("prompt", "prompt is missing")),
        Some(OneOrMany::One(text)) => Ok(text),
        Some(OneOrMany::Many(mut texts)) if texts.len() == 1 => Ok(texts.remove(0)),
        Some(OneOrMany::Many(texts)) => {
            let count = texts.len();
            let message = format!("{count} prompts need a key: a voucher pays for one");
            Err(ApiError::invalid("prompt", message))
        }
    }
}

fn message(message: WireMessage) -> Result<ChatMessage, ApiError> {
    let role = match message.role.as_str() {
        "system" | "developer" => "system",
        "user" => "user",
        "assistant" => "assistant",
        role => {
            let role: String = role.chars().take(64).collect();
            return Err(ApiError::invalid("messages", format!("role {role:?}")));
        }
    };
    Ok(ChatMessage { role: role.into(), content: message.content.into_text()? })
}
