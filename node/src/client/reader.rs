//! Reads answers, and joins the attempts of one call into one text.

use serde_json::Value;

use super::sse::EventReader;
use crate::{
    Error, Result,
    api::answer::{Statement, Usage},
};

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// What was generated.
    pub text: String,
    /// Why it ended: `stop` or `length`.
    pub finish_reason: String,
    /// Token counts.
    pub usage: Usage,
    /// What was recorded of the call.
    pub statement: Statement,
}

/// Reads the chunks of a streamed answer. Text that an earlier attempt has already given is
/// compared and not given again.
pub(crate) struct StreamReader<'a> {
    on_text: &'a mut (dyn FnMut(&str) + Send),
    shown: String,
    text: String,
    events: EventReader,
    finish_reason: Option<String>,
    usage: Option<Usage>,
    statement: Option<Statement>,
    failure: Option<String>,
}

impl<'a> StreamReader<'a> {
    pub(crate) fn new(on_text: &'a mut (dyn FnMut(&str) + Send)) -> Self {
        Self {
            on_text,
            shown: String::new(),
            text: String::new(),
            events: EventReader::default(),
            finish_reason: None,
            usage: None,
            statement: None,
            failure: None,
        }
    }

    /// Begins another attempt.
    pub(crate) fn restart(&mut self) {
        self.text.clear();
        self.events = EventReader::default();
        self.finish_reason = None;
        self.usage = None;
        self.statement = None;
        self.failure = None;
    }

    /// The error that the node put into the stream instead of the rest of the answer.
    pub(crate) const fn failure(&mut self) -> Option<String> {
        self.failure.take()
    }

    /// Reads received bytes; returns the answer once it is whole.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Option<Reply>> {
        for data in self.events.feed(bytes)? {
            if data == "[DONE]" {
                return self.finish().map(Some);
            }
            let chunk: Value = serde_json::from_str(&data)
                .map_err(|error| Error::Remote(format!("stream: {error}")))?;
            if let Some(message) = chunk["error"]["message"].as_str() {
                self.failure = Some(message.to_owned());
                return Ok(None);
            }
            self.take(&chunk)?;
        }
        Ok(None)
    }

    /// Reads an answer that is not streamed.
    pub(crate) fn whole(&mut self, body: &Value) -> Result<Reply> {
        self.restart();
        self.take(body)?;
        self.finish()
    }

    fn take(&mut self, chunk: &Value) -> Result<()> {
        let choice = &chunk["choices"][0];
        let places = [&choice["delta"]["content"], &choice["message"]["content"], &choice["text"]];
        if let Some(piece) = places.into_iter().find_map(Value::as_str) {
            self.add(piece)?;
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.finish_reason = Some(reason.to_owned());
        }
        let field = |name: &str| chunk.get(name).filter(|value| !value.is_null()).cloned();
        let wrong = |error: serde_json::Error| Error::Remote(format!("answer: {error}"));
        if let Some(usage) = field("usage") {
            self.usage = Some(serde_json::from_value(usage).map_err(wrong)?);
        }
        if let Some(statement) = field("openledger") {
            self.statement = Some(serde_json::from_value(statement).map_err(wrong)?);
        }
        Ok(())
    }

    fn add(&mut self, piece: &str) -> Result<()> {
        let before = self.text.len();
        self.text.push_str(piece);
        let known = self.shown.len().min(self.text.len());
        if self.shown.as_bytes()[..known] != self.text.as_bytes()[..known] {
            return Err(Error::Remote("the repeated call answers differently".into()));
        }
        if self.text.len() > self.shown.len() {
            let from = self.shown.len().max(before);
            // `shown` was a whole text at a piece's end, and the bytes up to it are equal.
            (self.on_text)(&self.text[from..]);
            self.shown.clone_from(&self.text);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Reply> {
        let missing = |what: &str| Error::Remote(format!("the answer has no {what}"));
        Ok(Reply {
            text: self.text.clone(),
            finish_reason: self.finish_reason.take().ok_or_else(|| missing("finish_reason"))?,
            usage: self.usage.ok_or_else(|| missing("usage"))?,
            statement: self.statement.take().ok_or_else(|| missing("openledger field"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chunk(text: &str) -> Vec<u8> {
        format!("data: {}\n\n", json!({"choices": [{"text": text, "finish_reason": null}]}))
            .into_bytes()
    }

    #[test]
    fn a_repeated_stream_gives_each_piece_once() {
        let mut seen = Vec::new();
        let mut on_text = |piece: &str| seen.push(piece.to_owned());
        let mut reader = StreamReader::new(&mut on_text);
        reader.feed(&chunk("func")).unwrap();
        reader.feed(&chunk("tion ü")).unwrap();
        reader.restart();
        reader.feed(&chunk("function ")).unwrap();
        reader.feed(&chunk("üb(")).unwrap();
        reader.feed(&chunk(")")).unwrap();
        drop(reader);
        assert_eq!(seen, ["func", "tion ü", "b(", ")"]);
    }

    #[test]
    fn a_repeated_stream_that_differs_is_refused() {
        let mut on_text = |_: &str| {};
        let mut reader = StreamReader::new(&mut on_text);
        reader.feed(&chunk("one")).unwrap();
        reader.restart();
        assert!(reader.feed(&chunk("ono")).is_err());
    }

    #[test]
    fn a_stream_without_its_statement_is_refused() {
        let mut on_text = |_: &str| {};
        let mut reader = StreamReader::new(&mut on_text);
        reader.feed(&chunk("one")).unwrap();
        let error = reader.feed(b"data: [DONE]\n\n").unwrap_err();
        assert!(error.to_string().contains("finish_reason"), "{error}");
    }
}
