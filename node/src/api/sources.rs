//! Sources and citations of an answer as JSON.

use alloy::primitives::{Address, B256};
use attribution::settle::{Citation, Ground, Record, UseCredit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::Decimal;
use crate::retrieval::{Cited, Document, Grounding, Source, SourceRef, Unsupported, Why};

/// What an answer was given to answer from, what of it it cites, and what of it has no support.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetrievalJson {
    /// Whether the model was given any sources. If not, nothing fitted the question, and the answer
    /// rests on nothing that it could cite.
    pub has_sources: bool,
    /// The sources, in the order of their marks: `[1]` is the first. With the answer's text they are
    /// what `outputHash` is of.
    pub sources: Vec<SourceJson>,
    /// Those that the answer cites and rests on.
    pub citations: Vec<CitationJson>,
    /// Sentences that rest on no source that they cite.
    pub unsupported: Vec<UnsupportedJson>,
}

/// A row that the model was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceJson {
    /// Its number in marks, from 1.
    pub mark: u32,
    /// keccak256 of its text.
    #[schema(value_type = String)]
    pub row_hash: B256,
    /// Its place in the Datanet version.
    pub row: u64,
    /// The Datanet.
    #[schema(value_type = String)]
    pub datanet: B256,
    /// The version.
    pub version: u32,
    /// Link or path of where it is from.
    pub source: String,
    /// Who contributed it.
    #[schema(value_type = String)]
    pub contributor: Address,
    /// How near it is to the question: dot products of int8 vectors, two thirds its own and a third its best passage's.
    pub relevance: u32,
}

/// A row that the answer cites and rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CitationJson {
    /// The row.
    #[serde(flatten)]
    pub source: SourceJson,
    /// Sentences that cite it and rest on it.
    pub uses: u16,
    /// The contributor's index, if it is credited.
    pub earner: Option<u32>,
    /// Gwei of its credit; nothing if the model's mix has none for citations, or the contributor is no
    /// earner.
    #[schema(value_type = String)]
    pub credit: Decimal<u64>,
}

/// A sentence without support.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnsupportedJson {
    /// Its first byte in the answer.
    pub start: u64,
    /// The byte after its last.
    pub end: u64,
    /// `uncited`, `not_in_sources` or `number_not_in_sources`.
    pub reason: String,
    /// The number that no source has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
}

impl RetrievalJson {
    /// The sources of an answer with the credits of its record.
    pub fn of(grounding: &Grounding, record: &Record) -> Self {
        let numbered = (1..).zip(&grounding.sources);
        let citation = |cited: &Cited| {
            let source = grounding.source(cited.mark)?;
            let credit = credit(record, source.citation(cited.uses));
            Some(CitationJson {
                source: SourceJson::of(cited.mark, source),
                uses: cited.uses,
                earner: credit.map(|credit| credit.of.earner.0),
                credit: Decimal(credit.map_or(0, |credit| credit.credit)),
            })
        };
        Self {
            has_sources: !grounding.sources.is_empty(),
            sources: numbered.map(|(mark, source)| SourceJson::of(mark, source)).collect(),
            citations: grounding.citations.iter().filter_map(citation).collect(),
            unsupported: grounding.unsupported.iter().map(UnsupportedJson::of).collect(),
        }
    }

    /// What the output hash of an answer with this text is of.
    pub fn document(&self, text: &str) -> Document {
        let place = |source: &SourceJson| SourceRef {
            datanet: source.datanet,
            version: source.version,
            row: source.row,
            row_hash: source.row_hash,
            relevance: source.relevance,
        };
        Document { text: text.to_owned(), sources: self.sources.iter().map(place).collect() }
    }
}

/// The credit of a citation.
fn credit(record: &Record, cited: Citation) -> Option<&UseCredit> {
    let mut credits = record.sections().iter().flat_map(|section| &section.credits);
    credits.find(|credit| credit.of.ground == Ground::Citation(cited))
}

impl SourceJson {
    fn of(mark: u32, source: &Source) -> Self {
        let SourceRef { datanet, version, row, row_hash, relevance } = source.place;
        let (link, contributor) = (source.link.clone(), source.contributor);
        Self { mark, row_hash, row, datanet, version, source: link, contributor, relevance }
    }
}

impl UnsupportedJson {
    fn of(one: &Unsupported) -> Self {
        let number = match &one.why {
            Why::NumberNotInSources(number) => Some(number.clone()),
            Why::Uncited | Why::NotInSources => None,
        };
        Self { start: one.start, end: one.end, reason: one.why.code().into(), number }
    }
}
