//! Rows that questions are answered from, and what the answers that cite them owe.
//!
//! A node with a `[retrieval]` section keeps a library of the Datanet versions whose rows it holds
//! ([`Librarian`] adds new ones). A call that asks for it is answered from rows of its model's own
//! versions, which are what its record can pay. The answer's bytes are then a [`Document`]: its text
//! and the places of its sources, so that whoever runs the call again gives the model the same
//! prompt, which [`DatanetRows`] has the rows for. What it cites and rests on is a [`Grounding`], a
//! function of the text and of the sources' rows alone.

mod ablation;
mod document;
mod grounding;
mod indexing;
mod journal;
mod librarian;
mod limit;
mod prompt;
mod relevance;
mod rows;
mod search;

#[cfg(test)]
pub(crate) use self::indexing::index;
pub use self::{
    ablation::{Ablation, ablate},
    document::{Document, SourceRef},
    grounding::{Cited, Grounding, Source, Unsupported, Why},
    librarian::Librarian,
    prompt::{question, with_sources},
    relevance::{ENCODER, Relevance},
    rows::{DatanetRows, Unread, shown},
    search::{Retrieval, RetrievalSettings, Scope},
};
