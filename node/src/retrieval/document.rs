//! What is hashed, and revealed, of an answer that was given sources.

use alloy::primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::store::{read_sol, write_sol};

/// A row that an answer was generated with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRef {
    /// Its Datanet.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub datanet: B256,
    /// The version of it.
    pub version: u32,
    /// The row's place in the version.
    pub row: u64,
    /// keccak256 of its text.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub row_hash: B256,
    /// How near the row is to the question, in dot products of int8 vectors.
    pub relevance: u32,
}

/// An answer's text and its sources, in the order of their numbers in the prompt. The output hash of
/// a call with retrieval is that of [`Self::to_bytes`], and of a call without it that of the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// What was generated.
    pub text: String,
    /// What it was generated from; none if nothing was found.
    pub sources: Vec<SourceRef>,
}

impl Document {
    /// Its one JSON form: these fields in this order, hashes as `0x` and small letters, no spaces,
    /// and of characters only those escaped that JSON demands.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a document is plain data")
    }

    /// Reads [`Self::to_bytes`].
    ///
    /// # Errors
    /// Why these are not the bytes of a document.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let document: Self = serde_json::from_slice(bytes)
            .map_err(|error| format!("the answer is not a document: {error}"))?;
        if document.to_bytes() != bytes {
            return Err("the answer's document is not in its one form".into());
        }
        Ok(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let source = SourceRef {
            datanet: B256::repeat_byte(0xab),
            version: 2,
            row: 7,
            row_hash: B256::repeat_byte(1),
            relevance: 99,
        };
        Document { text: "a \"b\"\n\u{1}é [1]".into(), sources: vec![source] }
    }

    #[test]
    fn its_bytes_are_these() {
        let (ab, one) = ("ab".repeat(32), "01".repeat(32));
        let expected = format!(
            "{{\"text\":\"a \\\"b\\\"\\n\\u0001é [1]\",\"sources\":[{{\"datanet\":\"0x{ab}\",\
             \"version\":2,\"row\":7,\"row_hash\":\"0x{one}\",\"relevance\":99}}]}}"
        );
        assert_eq!(String::from_utf8(document().to_bytes()).unwrap(), expected);
        assert_eq!(Document::read(expected.as_bytes()).unwrap(), document());
    }

    #[test]
    fn other_forms_of_the_same_are_refused() {
        let text = String::from_utf8(document().to_bytes()).unwrap();
        for (from, to) in [
            ("\"version\":2", "\"version\": 2"),
            ("\"version\":2,\"row\":7", "\"row\":7,\"version\":2"),
            ("0xabab", "0xABab"),
            ("0xabab", "abab"),
            ("é", "\\u00e9"),
            ("\"relevance\":99", "\"relevance\":99,\"more\":1"),
            ("\"relevance\":99", "\"relevance\":-1"),
            (",\"sources\"", ",\"rows\""),
        ] {
            let other = text.replace(from, to);
            assert_ne!(other, text, "{from}");
            Document::read(other.as_bytes()).unwrap_err();
        }
        for bytes in [&b""[..], b"answer", b"\xff", b"{\"text\":\"a\"}", b"[]"] {
            Document::read(bytes).unwrap_err();
        }
    }
}
