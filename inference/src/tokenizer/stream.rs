//! Text of tokens as they come.

use super::Tokenizer;

/// Turns a stream of tokens into a stream of text that is never cut inside a character.
///
/// From the start of a text it gives what [`Tokenizer::decode`] gives at once.
#[derive(Clone, Debug, Default)]
pub struct IncrementalDecoder {
    /// The start of a character whose end has not come yet.
    pending: Vec<u8>,
    /// Whether a byte has come, so that the text no longer begins.
    begun: bool,
    /// Spaces dropped so far.
    dropped: usize,
}

impl IncrementalDecoder {
    /// The text that this token completes; may be empty.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> String {
        let mut bytes = tokenizer.token_bytes(id);
        while !self.begun && !bytes.is_empty() {
            if bytes[0] == b' ' && self.dropped < tokenizer.pieces.dropped_spaces {
                bytes = &bytes[1..];
                self.dropped += 1;
            } else {
                self.begun = true;
            }
        }
        self.pending.extend_from_slice(bytes);
        self.complete()
    }

    fn complete(&mut self) -> String {
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.pending) {
                Ok(valid) => {
                    text.push_str(valid);
                    self.pending.clear();
                    return text;
                }
                Err(error) => {
                    let (valid, rest) = self.pending.split_at(error.valid_up_to());
                    text.push_str(std::str::from_utf8(valid).expect("checked by from_utf8"));
                    let Some(wrong) = error.error_len() else {
                        self.pending = rest.to_vec();
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    self.pending = rest[wrong..].to_vec();
                }
            }
        }
    }

    /// What is left at the end of the stream: `U+FFFD` if it ended inside a character.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}
