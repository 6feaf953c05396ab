//! The span index of a model that is served, and what of an answer stands in it.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use alloy::primitives::B256;
use attribution::{
    estimate::InfluenceIndex,
    settle::{EarnerIndex, Ground, MAX_SPAN_END, SpanUse, Use},
    spans::{Check, Cuts, SpanIndex, SpanRules, proof::ShardCommitment},
};
use inference::tokenizer::Tokenizer;

use crate::{Error, Result};

/// The span index of a model directory.
pub const SPANS_FOLDER: &str = "spans";

/// A model's span index with what its tokens mean.
#[derive(Debug)]
pub struct ServedSpans {
    /// The index.
    pub index: SpanIndex,
    /// What the chain knows of it.
    pub commitment: ShardCommitment,
    tokenizer: Arc<Tokenizer>,
    marks: Marks,
}

/// A span of an answer with all of its holders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSpan {
    /// Each holder, as records credit them.
    pub uses: Vec<Use>,
    /// The span's text.
    pub text: String,
}

/// Where spans may begin and end, by token id.
#[derive(Debug)]
struct Marks {
    delimiters: Vec<bool>,
    words: Vec<bool>,
}

impl ServedSpans {
    /// Opens an index, hashes all of it and reads what its tokens are.
    ///
    /// # Errors
    /// [`Error::Attribution`] naming the file that is damaged or missing, or that it has not one
    /// shard.
    pub fn open(path: &Path, tokenizer: &Arc<Tokenizer>) -> Result<Self> {
        let index = SpanIndex::open(path, Check::Everything).map_err(attribution)?;
        if index.header().shards.len() != 1 {
            let shards = index.header().shards.len();
            return Err(Error::Attribution(format!("span index has {shards} shards, not 1")));
        }
        let shard = index.commit(0).expect("it has a shard");
        let commitment = shard.commitment();
        drop(shard);
        let (tokenizer, marks) = (Arc::clone(tokenizer), Marks::of(tokenizer));
        Ok(Self { index, commitment, tokenizer, marks })
    }

    /// What stands for the index on the chain.
    pub fn hash(&self) -> B256 {
        self.commitment.hash().into()
    }

    /// The spans of an answer, by their place in it. They follow from the answer's tokens and the
    /// index alone, so whoever has both finds the same.
    ///
    /// - `answer`: generated token ids; spans end within the first 2^14
    ///
    /// # Errors
    /// [`Error::Attribution`] never, for tokens of the model.
    pub fn find(&self, answer: &[u32]) -> Result<Vec<FoundSpan>> {
        let answer = &answer[..answer.len().min(usize::from(MAX_SPAN_END))];
        let has = |marks: &[bool], token: u32| marks.get(token as usize).copied().unwrap_or(false);
        let delimiter = |token| has(&self.marks.delimiters, token);
        let starts_word = |token| has(&self.marks.words, token);
        let cuts = Cuts { delimiter: &delimiter, starts_word: &starts_word };
        let spans = self.index.spans(answer, &SpanRules::default(), &cuts).map_err(attribution)?;
        let uses = self.index.uses(answer, &spans);
        let mut found: Vec<FoundSpan> = Vec::new();
        for of in uses {
            let Ground::Span(span) = of.ground else { continue };
            if span.holder == 0 {
                let range = usize::from(span.start)..usize::try_from(span.end()).unwrap_or(0);
                let text = self.tokenizer.decode(answer.get(range).unwrap_or(&[]));
                found.push(FoundSpan { uses: vec![of], text });
            } else if let Some(last) = found.last_mut() {
                last.uses.push(of);
            }
        }
        found.sort_by_key(|found| found.span().start);
        Ok(found)
    }

    /// Whether all who hold rows of it are contributors of an influence index, whom alone a ledger
    /// may credit.
    pub(super) fn check_holders(&self, index: &InfluenceIndex) -> std::result::Result<(), String> {
        let known: BTreeSet<EarnerIndex> =
            index.contributors().iter().map(|contributor| contributor.earner).collect();
        for place in 0..self.index.rows() {
            let earner = self.index.row(place).map_or(EarnerIndex::NOBODY, |row| row.earner);
            if !known.contains(&earner) {
                return Err(format!(
                    "row {place} of its span index is of {earner}, no contributor"
                ));
            }
        }
        Ok(())
    }
}

impl FoundSpan {
    /// The span, as its first holder's credit says it.
    pub fn span(&self) -> SpanUse {
        match self.uses.first().map(|of| of.ground) {
            Some(Ground::Span(span)) => span,
            _ => SpanUse::default(),
        }
    }
}

impl Marks {
    fn of(tokenizer: &Tokenizer) -> Self {
        let bytes = |id: usize| tokenizer.token_bytes(u32::try_from(id).unwrap_or(u32::MAX));
        let all = 0..tokenizer.vocab_size();
        Self {
            delimiters: all.clone().map(|id| is_delimiter(bytes(id))).collect(),
            words: all.map(|id| starts_word(bytes(id))).collect(),
        }
    }
}

/// Line ends and full stops that are a token of their own: within code a stop joins names.
fn is_delimiter(bytes: &[u8]) -> bool {
    bytes.contains(&b'\n') || bytes == b"." || bytes == "\u{3002}".as_bytes()
}

/// Whether a token does not go on with a word: letters, digits and underscores do, and so does what
/// is left of a character. Scripts beyond ASCII may be without spaces, so there every character
/// starts a word.
fn starts_word(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|&byte| match byte {
        0..=0x7f => !byte.is_ascii_alphanumeric() && byte != b'_',
        0x80..=0xbf => false,
        0xc0..=0xff => true,
    })
}

fn attribution(error: attribution::Error) -> Error {
    Error::Attribution(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_where_the_one_before_cannot_go_on() {
        for (text, expected) in [
            (" function", true),
            ("(", true),
            ("\n", true),
            ("中", true),
            ("tion", false),
            ("_x", false),
            ("7", false),
            ("", false),
        ] {
            assert_eq!(starts_word(text.as_bytes()), expected, "{text:?}");
        }
        assert!(!starts_word(&"中".as_bytes()[1..]));
    }

    #[test]
    fn lines_and_sentences_end_at_delimiters() {
        for (text, expected) in [
            (";\n", true),
            ("\n", true),
            (".", true),
            ("。", true),
            (".sender", false),
            ("...", false),
            (" ", false),
        ] {
            assert_eq!(is_delimiter(text.as_bytes()), expected, "{text:?}");
        }
    }
}
