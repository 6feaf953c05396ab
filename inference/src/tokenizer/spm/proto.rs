//! The fields of a SentencePiece `ModelProto`, read from protobuf by hand: there are three messages of
//! a few fields, and every length in them is hostile.

use crate::{Error, Result};

/// Most pieces of a vocabulary.
const MAX_PIECES: usize = 1 << 20;
/// Longest piece, in bytes.
const MAX_PIECE_BYTES: usize = 1 << 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) score: f64,
    pub(super) kind: Kind,
}

impl Piece {
    /// Whether text is cut into it.
    pub(super) const fn spelled(&self) -> bool {
        matches!(self.kind, Kind::Normal | Kind::UserDefined)
    }
}

/// What is used of a SentencePiece `ModelProto`.
#[derive(Debug)]
pub(in crate::tokenizer) struct SentencePiece {
    pub(super) pieces: Vec<Piece>,
    pub(super) unigram: bool,
    pub(super) byte_fallback: bool,
    /// Compiled rules of Unicode normalisation; empty for none.
    pub(super) charsmap: Vec<u8>,
    pub(super) dummy_prefix: bool,
    pub(super) remove_extra_spaces: bool,
}

pub(super) fn bad(message: impl Into<String>) -> Error {
    Error::Tokenizer(format!("tokenizer.model: {}", message.into()))
}

/// One field of a protobuf message.
enum Field<'a> {
    Number(u64),
    Fixed([u8; 4]),
    Bytes(&'a [u8]),
    Other,
}

/// Reads one varint.
fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or_else(|| bad("it ends inside a number"))?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(bad("a number has more than 64 bits"))
}

fn take<'a>(bytes: &mut &'a [u8], count: u64) -> Result<&'a [u8]> {
    let count = usize::try_from(count).ok().filter(|&count| count <= bytes.len());
    let count = count.ok_or_else(|| bad("it ends inside a field"))?;
    let (field, rest) = bytes.split_at(count);
    *bytes = rest;
    Ok(field)
}

/// Calls `visit` with the number and value of every field.
fn fields<'a>(
    mut bytes: &'a [u8],
    mut visit: impl FnMut(u64, Field<'a>) -> Result<()>,
) -> Result<()> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)?),
            1 => {
                take(&mut bytes, 8)?;
                Field::Other
            }
            2 => {
                let length = varint(&mut bytes)?;
                Field::Bytes(take(&mut bytes, length)?)
            }
            5 => Field::Fixed(take(&mut bytes, 4)?.try_into().expect("four bytes were taken")),
            kind => return Err(bad(format!("field type {kind} is unknown"))),
        };
        visit(key >> 3, field)?;
    }
    Ok(())
}

impl SentencePiece {
    /// Parses the bytes of a `ModelProto`.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if it is damaged, too large, or of a kind other than BPE and unigram.
    pub(in crate::tokenizer) fn parse(bytes: &[u8]) -> Result<Self> {
        // Defaults of sentencepiece_model.proto.
        let mut model = Self {
            pieces: Vec::new(),
            unigram: true,
            byte_fallback: false,
            charsmap: Vec::new(),
            dummy_prefix: true,
            remove_extra_spaces: true,
        };
        fields(bytes, |number, field| match (number, field) {
            (1, Field::Bytes(bytes)) => model.add_piece(bytes),
            (2, Field::Bytes(bytes)) => model.read_trainer(bytes),
            (3, Field::Bytes(bytes)) => model.read_normalizer(bytes),
            _ => Ok(()),
        })?;
        if model.pieces.is_empty() {
            return Err(bad("it has no pieces"));
        }
        Ok(model)
    }

    fn add_piece(&mut self, bytes: &[u8]) -> Result<()> {
        let mut piece = Piece { text: String::new(), score: 0.0, kind: Kind::Normal };
        fields(bytes, |number, field| {
            match (number, field) {
                (1, Field::Bytes(text)) if text.len() <= MAX_PIECE_BYTES => {
                    let text = std::str::from_utf8(text);
                    piece.text = text.map_err(|_| bad("a piece is not UTF-8"))?.to_owned();
                }
                (1, _) => return Err(bad("a piece is too long")),
                (2, Field::Fixed(score)) => piece.score = f32::from_le_bytes(score).into(),
                (3, Field::Number(kind)) => {
                    piece.kind = match kind {
                        1 => Kind::Normal,
                        2 => Kind::Unknown,
                        3 => Kind::Control,
                        4 => Kind::UserDefined,
                        5 => Kind::Unused,
                        6 => Kind::Byte,
                        other => return Err(bad(format!("piece type {other} is unknown"))),
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        if self.pieces.len() == MAX_PIECES {
            return Err(bad(format!("it has more than {MAX_PIECES} pieces")));
        }
        if !piece.score.is_finite() || piece.text.is_empty() {
            return Err(bad(format!("piece {} is empty or not finite", self.pieces.len())));
        }
        self.pieces.push(piece);
        Ok(())
    }

    fn read_trainer(&mut self, bytes: &[u8]) -> Result<()> {
        fields(bytes, |number, field| {
            match (number, field) {
                (3, Field::Number(kind @ (1 | 2))) => self.unigram = kind == 1,
                (3, Field::Number(kind)) => return Err(bad(format!("model type {kind}"))),
                (24, Field::Number(1)) => return Err(bad("spaces are suffixes")),
                (35, Field::Number(flag)) => self.byte_fallback = flag != 0,
                _ => {}
            }
            Ok(())
        })
    }

    fn read_normalizer(&mut self, bytes: &[u8]) -> Result<()> {
        fields(bytes, |number, field| {
            match (number, field) {
                (2, Field::Bytes(map)) => self.charsmap = map.to_vec(),
                (3, Field::Number(flag)) => self.dummy_prefix = flag != 0,
                (4, Field::Number(flag)) => self.remove_extra_spaces = flag != 0,
                (5, Field::Number(0)) => return Err(bad("spaces are not escaped")),
                _ => {}
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::config::HfTokenizerConfig;

    #[test]
    fn damaged_models_are_errors() {
        for bytes in [
            &b""[..],
            b"\x0a",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0a\x05abc",
            b"\x0b",
            b"\x0a\x00",
            b"\x0a\x03\x0a\x01\xff",
            b"\x0a\x05\x0a\x01a\x18\x09",
            b"\x0a\x03\x0a\x01a\x12\x02\x18\x03",
        ] {
            assert!(matches!(SentencePiece::parse(bytes), Err(Error::Tokenizer(_))), "{bytes:?}");
        }
        let one = SentencePiece::parse(b"\x0a\x03\x0a\x01a").unwrap();
        assert!(one.to_json(&HfTokenizerConfig::default()).is_err(), "no unknown piece");
    }
}
