//! What an answer was given, what it cites, and what of it has no support.

use alloy::primitives::Address;
use attribution::{
    retrieval::{Hit, MarkReader, Support, check_support, cited_rows, sentences},
    settle::{Citation, EarnerIndex, Ground, Use},
};
use borsh::{BorshDeserialize, BorshSerialize};

use super::{Document, SourceRef, search::named};
use crate::{
    Result,
    registry::DatanetRef,
    store::{read_sol, write_sol},
};

/// A row that an answer was given, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Source {
    /// Which row, and how much it has to do with the question.
    pub place: SourceRef,
    /// Who contributed it.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub contributor: Address,
    /// Where it is from: a link or a path.
    pub link: String,
    /// Place of its Datanet version among the model's.
    pub among: u8,
}

/// A source that an answer cites and rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Cited {
    /// Its number in the answer's marks, from 1.
    pub mark: u32,
    /// Sentences that cite it and rest on it.
    pub uses: u16,
}

/// A sentence that users are to be warned of.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Unsupported {
    /// Its first byte in the answer.
    pub start: u64,
    /// The byte after its last.
    pub end: u64,
    /// What is wrong.
    pub why: Why,
}

/// Why a sentence has no support.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Why {
    /// It cites no source that was given.
    Uncited,
    /// The sources that it cites do not hold enough of its words.
    NotInSources,
    /// It has a number that none of the sources that it cites has.
    NumberNotInSources(String),
}

/// What an answer was given, what it cites, and what of it has no support. It follows from the text
/// and the sources' rows: whoever has both finds the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Grounding {
    /// Sources in the order of their numbers; none if nothing was found.
    pub sources: Vec<Source>,
    /// Those that the answer rests on, by number.
    pub citations: Vec<Cited>,
    /// Sentences without support, in their order; none are looked for in an answer without sources.
    pub unsupported: Vec<Unsupported>,
}

impl Grounding {
    /// Reads the marks of an answer that was given `hits`, numbered from 1 in their order. They must be
    /// of `versions`, which are the model's.
    pub fn of(text: &str, hits: &[Hit], versions: &[DatanetRef]) -> Self {
        let sources = hits.iter().map(|hit| Source::of(hit, versions)).collect();
        if hits.is_empty() {
            return Self { sources, ..Self::default() };
        }
        let found = sentences(text, &MarkReader::read(text, hits.len()));
        let texts: Vec<&str> = hits.iter().map(|hit| hit.row.text.as_str()).collect();
        // By words alone: vectors are floats until they are rounded, and this is what is paid.
        let support = check_support(&found, &texts, &|_, _| false);
        let cited = cited_rows(&hits.iter().collect::<Vec<_>>(), &support);
        let citations = cited.into_iter().map(|row| Cited {
            mark: u32::try_from(row.source).unwrap_or(u32::MAX),
            uses: u16::try_from(row.uses).unwrap_or(u16::MAX),
        });
        let unsupported = found.iter().zip(&support).filter_map(|(sentence, support)| {
            let (start, end) = (sentence.bytes.start as u64, sentence.bytes.end as u64);
            Why::of(support).map(|why| Unsupported { start, end, why })
        });
        Self { sources, citations: citations.collect(), unsupported: unsupported.collect() }
    }

    /// The source with a number, from 1.
    pub fn source(&self, mark: u32) -> Option<&Source> {
        self.sources.get(usize::try_from(mark).ok()?.checked_sub(1)?)
    }

    /// What is hashed and revealed of an answer with this text.
    pub fn document(&self, text: &str) -> Document {
        let sources = self.sources.iter().map(|source| source.place.clone()).collect();
        Document { text: text.to_owned(), sources }
    }

    /// What the cited rows are to be credited by. A row whose contributor is no earner cannot be.
    ///
    /// # Errors
    /// What `earner_of` fails with.
    pub fn uses(
        &self,
        earner_of: impl Fn(Address) -> Result<Option<EarnerIndex>>,
    ) -> Result<Vec<Use>> {
        let mut uses = Vec::with_capacity(self.citations.len());
        for cited in &self.citations {
            let Some(source) = self.source(cited.mark) else { continue };
            let Some(earner) = earner_of(source.contributor)? else { continue };
            let citation = source.citation(cited.uses);
            uses.push(Use { earner, score: citation.score(), ground: Ground::Citation(citation) });
        }
        Ok(uses)
    }
}

impl Source {
    /// As a record has it.
    pub const fn citation(&self, uses: u16) -> Citation {
        let SourceRef { row, relevance, .. } = self.place;
        Citation { datanet: self.among, row, relevance, uses }
    }

    fn of(hit: &Hit, versions: &[DatanetRef]) -> Self {
        let is_its = |of: &DatanetRef| named(of) == hit.version;
        let among = versions.iter().position(is_its).and_then(|at| u8::try_from(at).ok());
        Self {
            place: SourceRef {
                datanet: hit.version.datanet.into(),
                version: hit.version.version,
                row: hit.row.index,
                row_hash: hit.row.row_hash.into(),
                relevance: hit.relevance,
            },
            contributor: hit.row.contributor.into(),
            link: hit.row.source.clone(),
            among: among.expect("rows are looked for in the model's versions, at most 255"),
        }
    }
}

impl Why {
    fn of(support: &Support) -> Option<Self> {
        match support {
            Support::Nothing | Support::Sources(_) => None,
            Support::Uncited => Some(Self::Uncited),
            Support::NotInSources => Some(Self::NotInSources),
            Support::NumberNotInSources(number) => Some(Self::NumberNotInSources(number.clone())),
        }
    }

    /// A word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Uncited => "uncited",
            Self::NotInSources => "not_in_sources",
            Self::NumberNotInSources(_) => "number_not_in_sources",
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;
    use attribution::{
        retrieval::{DatanetVersion, Row},
        settle::keccak,
    };

    use super::*;

    fn hit(place: u8, text: &str) -> Hit {
        Hit {
            version: DatanetVersion { datanet: [place; 32], version: u32::from(place) },
            row: Row {
                index: 10 + u64::from(place),
                contributor: [place; 20],
                row_hash: keccak(&[text.as_bytes()]),
                source: format!("{place}.md"),
                text: text.into(),
            },
            vectors: Vec::new(),
            relevance: 1_000 * u32::from(place),
            dot: 0,
            bm25_milli: 0,
            score: 0,
        }
    }

    const fn version(place: u8) -> DatanetRef {
        DatanetRef { id: B256::repeat_byte(place), version: place as u32 }
    }

    const VERSIONS: [DatanetRef; 3] = [version(2), version(1), version(3)];

    fn hits() -> [Hit; 3] {
        [
            hit(1, "The bond of an operator is slashed by half when a batch is struck."),
            hit(2, "Blobs stay available for 14 days."),
            hit(3, "A voucher carries the ceiling of its channel."),
        ]
    }

    #[test]
    fn what_is_cited_is_credited_by_relevance_and_uses() {
        let text = "Half of the bond is slashed [1]. Operator bond: slashed when struck [1]. \
                    Blobs are available for 30 days [2]. Bread is dear.";
        let grounding = Grounding::of(text, &hits(), &VERSIONS);
        assert_eq!(grounding.citations, [Cited { mark: 1, uses: 2 }]);
        let flagged: Vec<_> = grounding
            .unsupported
            .iter()
            .map(|one| (&text[one.start as usize..one.end as usize], one.why.code()))
            .collect();
        assert_eq!(
            flagged,
            [
                ("Blobs are available for 30 days [2].", "number_not_in_sources"),
                ("Bread is dear.", "uncited"),
            ]
        );

        let uses = grounding.uses(|account| Ok(Some(EarnerIndex(account[0].into())))).unwrap();
        let citation = Citation { datanet: 1, row: 11, relevance: 1_000, uses: 2 };
        let expected =
            Use { earner: EarnerIndex(1), score: 2_000, ground: Ground::Citation(citation) };
        assert_eq!(uses, [expected]);

        assert_eq!(grounding.uses(|_| Ok(None)).unwrap(), [], "nobody can be paid");
    }

    #[test]
    fn an_answer_without_sources_is_not_blamed_for_citing_none() {
        let grounding = Grounding::of("Something [1].", &[], &VERSIONS);
        assert_eq!(grounding, Grounding::default());
        let document = grounding.document("Something [1].");
        assert_eq!(document, Document { text: "Something [1].".into(), sources: vec![] });
    }
}
