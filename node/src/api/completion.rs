//! Whole answers, as OpenAI's API has them.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{answer::Usage, request::Endpoint};
use crate::serving::{Finished, Likelihood, TokenLogprob};

/// An answer of `/v1/chat/completions`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChatCompletion {
    /// `chatcmpl-` and the voucher's digest.
    pub id: String,
    /// `chat.completion`
    pub object: &'static str,
    /// When the call was signed, in seconds.
    pub created: u64,
    /// The model's registered name.
    pub model: String,
    /// The answers.
    pub choices: Vec<ChatChoice>,
    /// Sums over all choices, each of which is a call of its own.
    pub usage: Usage,
    /// What was recorded: a `Statement`; of an unpaid call an `UnpaidStatement`; of several choices
    /// their list under `calls`.
    #[schema(value_type = Object)]
    pub openledger: Value,
}

/// One answer of a chat.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChatChoice {
    /// Its place among the choices.
    pub index: usize,
    /// The assistant's turn.
    pub message: ChatAnswer,
    /// Probabilities, if they were asked for.
    #[schema(value_type = Option<ChatLogprobs>)]
    pub logprobs: Value,
    /// `stop` or `length`.
    pub finish_reason: &'static str,
}

/// The assistant's turn.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChatAnswer {
    /// `assistant`
    pub role: &'static str,
    /// The text.
    pub content: String,
}

/// Probabilities of a chat's tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChatLogprobs {
    /// One for each token that stands for text.
    pub content: Vec<ChatToken>,
}

/// A token of a chat with the likeliest in its place.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChatToken {
    /// The token's text; bytes that are no characters by themselves are U+FFFD.
    pub token: String,
    /// Natural logarithm of its probability under the model, before sampling changes it.
    pub logprob: f32,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The likeliest tokens, likeliest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub top_logprobs: Option<Vec<Self>>,
}

/// An answer of `/v1/completions`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TextCompletion {
    /// `cmpl-` and the voucher's digest.
    pub id: String,
    /// `text_completion`
    pub object: &'static str,
    /// When the call was signed, in seconds.
    pub created: u64,
    /// The model's registered name.
    pub model: String,
    /// The answers.
    pub choices: Vec<TextChoice>,
    /// Sums over all choices, each of which is a call of its own.
    pub usage: Usage,
    /// As in `ChatCompletion`.
    #[schema(value_type = Object)]
    pub openledger: Value,
}

/// One continuation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TextChoice {
    /// Its place among the choices.
    pub index: usize,
    /// The text.
    pub text: String,
    /// Probabilities, if they were asked for.
    #[schema(value_type = Option<TextLogprobs>)]
    pub logprobs: Value,
    /// `stop` or `length`.
    pub finish_reason: &'static str,
}

/// Probabilities of a continuation's tokens.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct TextLogprobs {
    /// Texts of the tokens.
    pub tokens: Vec<String>,
    /// Natural logarithms of their probabilities.
    pub token_logprobs: Vec<f32>,
    /// The likeliest tokens in the place of each.
    #[schema(value_type = Vec<Object>)]
    pub top_logprobs: Vec<Value>,
    /// Where each begins, in characters of the text.
    pub text_offset: Vec<usize>,
}

/// The whole answer to a request, with the `openledger` field. `finished` has at least one choice.
pub(super) fn body(finished: &[Finished]) -> Value {
    let first = &finished[0];
    let usage = usage(finished);
    let openledger = statements(finished);
    let (id, created, model) = (first.id(), first.created(), first.answer.model.clone());
    match first.endpoint() {
        Endpoint::Chat => json!(ChatCompletion {
            id,
            object: "chat.completion",
            created,
            model,
            choices: finished.iter().enumerate().map(chat_choice).collect(),
            usage,
            openledger,
        }),
        Endpoint::Text | Endpoint::Embeddings => json!(TextCompletion {
            id,
            object: "text_completion",
            created,
            model,
            choices: finished.iter().enumerate().map(text_choice).collect(),
            usage,
            openledger,
        }),
    }
}

fn chat_choice((index, finished): (usize, &Finished)) -> ChatChoice {
    let answer = &finished.answer;
    ChatChoice {
        index,
        message: ChatAnswer { role: "assistant", content: answer.text.clone() },
        logprobs: logprobs(Endpoint::Chat, answer.logprobs.as_deref(), 0),
        finish_reason: answer.finish.reason(),
    }
}

fn text_choice((index, finished): (usize, &Finished)) -> TextChoice {
    let answer = &finished.answer;
    TextChoice {
        index,
        text: answer.text.clone(),
        logprobs: logprobs(Endpoint::Text, answer.logprobs.as_deref(), 0),
        finish_reason: answer.finish.reason(),
    }
}

/// Sums over all choices.
pub(super) fn usage(finished: &[Finished]) -> Usage {
    let sum = |of: fn(&Usage) -> u64| finished.iter().map(|one| of(&one.usage())).sum();
    Usage {
        prompt_tokens: sum(|usage| usage.prompt_tokens),
        completion_tokens: sum(|usage| usage.completion_tokens),
        total_tokens: sum(|usage| usage.total_tokens),
    }
}

fn statements(finished: &[Finished]) -> Value {
    match finished {
        [one] => one.statement(),
        several => {
            json!({ "calls": several.iter().map(Finished::statement).collect::<Vec<_>>() })
        }
    }
}

/// Probabilities of tokens, the first of which begins at `offset` characters of the text.
pub(super) fn logprobs(
    endpoint: Endpoint,
    tokens: Option<&[TokenLogprob]>,
    mut offset: usize,
) -> Value {
    let Some(tokens) = tokens else { return Value::Null };
    if endpoint == Endpoint::Chat {
        let token = |one: &TokenLogprob| ChatToken {
            top_logprobs: Some(one.top.iter().map(chat_token).collect()),
            ..chat_token(&one.token)
        };
        return json!(ChatLogprobs { content: tokens.iter().map(token).collect() });
    }
    let mut all = TextLogprobs::default();
    for one in tokens {
        let text = text(&one.token);
        all.text_offset.push(offset);
        offset += text.chars().count();
        all.tokens.push(text);
        all.token_logprobs.push(one.token.logprob);
        let top = one.top.iter().map(|other| (self::text(other), json!(other.logprob)));
        all.top_logprobs.push(Value::Object(top.collect()));
    }
    json!(all)
}

fn chat_token(one: &Likelihood) -> ChatToken {
    let (token, bytes) = (text(one), one.bytes.clone());
    ChatToken { token, logprob: one.logprob, bytes, top_logprobs: None }
}

pub(super) fn text(one: &Likelihood) -> String {
    String::from_utf8_lossy(&one.bytes).into_owned()
}
