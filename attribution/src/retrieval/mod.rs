//! Rows found for a question, and what they are owed if the answer rests on them.
//!
//! - [`Library`]: an index over Datanet versions, one [`Shelf`] each, searched by words (BM25) and
//!   by vectors (exact int8 dot products, of whole rows and of their [`passages`](fn@passages)), the
//!   two added up
//! - [`assemble`] writes the prompt, [`MarkReader`] finds the marks of the answer, [`sentences`] and
//!   [`check_support`] tell which sentences rest on what they cite, and [`cited_rows`] says what
//!   those rows are owed by
//! - [`ablate`] audits an answer: which sources it came from, whatever it cites
//!
//! What a row may be paid by is its [`relevance`](Hit::relevance), made of dot products of committed
//! integer vectors: every verifier gets the same number. An approximate walk over a graph of
//! vectors could not be checked.

mod ablation;
mod citations;
mod crowding;
mod fusion;
mod lexical;
mod library;
mod passages;
mod row;
mod shelf;
mod space;
mod words;

pub(crate) use self::words::Words;
pub use self::{
    ablation::{AblationConfig, Agreement, Surrogate, ablate, agreement, spearman},
    citations::{
        CitedRow, MAX_SOURCES, Mark, MarkReader, NEAR_BPS, Prompt, SHARED, Sentence, Support,
        TAKES_PART, assemble, check_support, citations_root, cited_rows, contributors, prompt_text,
        sentences, shares,
    },
    fusion::{SCORE_UNIT, nearness},
    library::{Caller, Known, Library, MAX_HITS, MAX_QUESTION_BYTES, MAX_QUESTION_WORDS, Question},
    passages::{MAX_PASSAGES, passages},
    row::{DatanetVersion, Edition, Hit, MAX_SOURCE_BYTES, MAX_TEXT_BYTES, Row},
    shelf::{Shelf, ShelfBuilder},
    space::{MAX_DIMENSION, VectorSpace, dot},
};
