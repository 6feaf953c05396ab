//! From an answer with marks to what its sources are owed.

mod credits;
mod marks;
mod prompt;
mod sentences;
mod support;

pub use self::{
    credits::{CitedRow, citations_root, cited_rows, contributors, shares},
    marks::{Mark, MarkReader},
    prompt::{MAX_SOURCES, Prompt, assemble, prompt_text},
    sentences::{Sentence, sentences},
    support::{NEAR_BPS, SHARED, Support, TAKES_PART, check_support},
};
