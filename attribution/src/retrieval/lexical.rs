//! The half of a shelf that finds rows by their words: an inverted index of tantivy.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use tantivy::{
    DocId, Index, IndexReader, IndexWriter, ReloadPolicy, Searcher, SegmentReader, TantivyDocument,
    TantivyError, Term,
    collector::{Collector, SegmentCollector, TopDocs},
    columnar::Column,
    indexer::NoMergePolicy,
    query::{Bm25StatisticsProvider, BooleanQuery, Occur, Query, TermQuery},
    schema::{FAST, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions},
};

use crate::{Error, Result};

/// Memory that the writer may hold before it writes a segment, in bytes.
const WRITER_BYTES: usize = 32 << 20;
const WORDS: &str = "words";
const PLACE: &str = "place";

pub(super) fn failed(error: TantivyError) -> Error {
    Error::Lexical(error.to_string())
}

fn schema() -> Schema {
    let mut schema = Schema::builder();
    // Rows come as words that are cut and stemmed already, one space between two.
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("whitespace")
        .set_index_option(IndexRecordOption::WithFreqs);
    schema.add_text_field(WORDS, TextOptions::default().set_indexing_options(indexing));
    schema.add_u64_field(PLACE, FAST);
    schema.build()
}

/// Writes the index of one shelf.
pub(super) struct LexicalWriter {
    writer: IndexWriter,
    words: Field,
    place: Field,
}

impl LexicalWriter {
    pub(super) fn create(dir: &Path) -> Result<Self> {
        let schema = schema();
        let field = |name| schema.get_field(name).expect("the schema has it");
        let (words, place) = (field(WORDS), field(PLACE));
        let index = Index::create_in_dir(dir, schema).map_err(failed)?;
        // One thread, so that rows stand in the index in their order.
        let writer = index.writer_with_num_threads(1, WRITER_BYTES).map_err(failed)?;
        writer.set_merge_policy(Box::new(NoMergePolicy));
        Ok(Self { writer, words, place })
    }

    pub(super) fn push(&mut self, place: u64, words: &[String]) -> Result<()> {
        let mut document = TantivyDocument::default();
        document.add_text(self.words, words.join(" "));
        document.add_u64(self.place, place);
        self.writer.add_document(document).map(drop).map_err(failed)
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.writer.commit().map_err(failed)?;
        let segments = self.writer.index().searchable_segment_ids().map_err(failed)?;
        if segments.len() > 1 {
            self.writer.merge(&segments).wait().map_err(failed)?;
        }
        self.writer.garbage_collect_files().wait().map_err(failed)?;
        self.writer.wait_merging_threads().map_err(failed)
    }
}

/// The index of one shelf, opened for searching.
pub(super) struct Lexical {
    reader: IndexReader,
    words: Field,
}

impl Lexical {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let index = Index::open_in_dir(dir).map_err(failed)?;
        if index.schema() != schema() {
            return Err(Error::Lexical("the index has another schema".into()));
        }
        let words = index.schema().get_field(WORDS).map_err(failed)?;
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()
            .map_err(failed)?;
        Ok(Self { reader, words })
    }

    pub(super) fn searcher(&self) -> Searcher {
        self.reader.searcher()
    }

    /// Places and BM25 scores of the `top` best rows for the words, best first, ties by place.
    pub(super) fn best(
        &self,
        words: &[String],
        top: usize,
        statistics: &Statistics,
    ) -> Result<Vec<(u64, f32)>> {
        let searcher = self.searcher();
        let query = self.any_of(words);
        let collector = TopDocs::with_limit(top).order_by_score();
        let found = searcher
            .search_with_statistics_provider(&query, &collector, statistics)
            .map_err(failed)?;
        let mut best = Vec::with_capacity(found.len());
        for (score, address) in found {
            best.push((place(&searcher, address.segment_ord, address.doc_id)?, score));
        }
        Ok(best)
    }

    /// BM25 scores of those rows at the places `wanted` that hold one of the words.
    pub(super) fn scores(
        &self,
        words: &[String],
        wanted: BTreeSet<u64>,
        statistics: &Statistics,
    ) -> Result<BTreeMap<u64, f32>> {
        let collector = Wanted(Arc::new(wanted));
        self.searcher()
            .search_with_statistics_provider(&self.any_of(words), &collector, statistics)
            .map_err(failed)
    }

    fn any_of(&self, words: &[String]) -> BooleanQuery {
        let word = |word: &String| -> (Occur, Box<dyn Query>) {
            let term = Term::from_field_text(self.words, word);
            (Occur::Should, Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs)))
        };
        BooleanQuery::new(words.iter().map(word).collect())
    }
}

/// Collects the scores of rows by place.
struct Wanted(Arc<BTreeSet<u64>>);

struct WantedOfSegment {
    wanted: Arc<BTreeSet<u64>>,
    places: Column<u64>,
    found: BTreeMap<u64, f32>,
}

impl Collector for Wanted {
    type Fruit = BTreeMap<u64, f32>;
    type Child = WantedOfSegment;

    fn for_segment(&self, _: u32, segment: &SegmentReader) -> tantivy::Result<WantedOfSegment> {
        let places = segment.fast_fields().u64(PLACE)?;
        Ok(WantedOfSegment { wanted: Arc::clone(&self.0), places, found: BTreeMap::new() })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, found: Vec<BTreeMap<u64, f32>>) -> tantivy::Result<BTreeMap<u64, f32>> {
        Ok(found.into_iter().flatten().collect())
    }
}

impl SegmentCollector for WantedOfSegment {
    type Fruit = BTreeMap<u64, f32>;

    fn collect(&mut self, document: DocId, score: f32) {
        if let Some(place) = self.places.first(document)
            && self.wanted.contains(&place)
        {
            self.found.insert(place, score);
        }
    }

    fn harvest(self) -> BTreeMap<u64, f32> {
        self.found
    }
}

fn place(searcher: &Searcher, segment: u32, document: DocId) -> Result<u64> {
    let reader = searcher.segment_reader(segment);
    let column = reader.fast_fields().u64(PLACE).map_err(failed)?;
    column.first(document).ok_or_else(|| Error::Lexical(format!("row {document} has no place")))
}

/// What BM25 knows of the rows that one caller searches: the sums over exactly those shelves. Rows
/// that the caller may not read have no influence on what it sees, not even on scores.
pub(super) struct Statistics {
    rows: u64,
    words: u64,
    rows_with: BTreeMap<Vec<u8>, u64>,
}

impl Statistics {
    pub(super) fn of(shelves: &[Arc<super::Shelf>], words: &[String]) -> Result<Self> {
        let mut sums = Self { rows: 0, words: 0, rows_with: BTreeMap::new() };
        for shelf in shelves {
            let lexical = shelf.lexical();
            let searcher = lexical.searcher();
            sums.rows += searcher.total_num_docs().map_err(failed)?;
            sums.words += searcher.total_num_tokens(lexical.words).map_err(failed)?;
            for word in words {
                let term = Term::from_field_text(lexical.words, word);
                let rows = searcher.doc_freq(&term).map_err(failed)?;
                *sums.rows_with.entry(term.serialized_value_bytes().to_vec()).or_default() += rows;
            }
        }
        Ok(sums)
    }

    /// How many rows hold the word; 0 for one that was not asked about.
    pub(super) fn rows_with(&self, word: &str) -> u64 {
        self.rows_with.get(word.as_bytes()).copied().unwrap_or(0)
    }
}

impl Bm25StatisticsProvider for Statistics {
    fn total_num_tokens(&self, _: Field) -> tantivy::Result<u64> {
        Ok(self.words)
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.rows)
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        Ok(self.rows_with.get(term.serialized_value_bytes()).copied().unwrap_or(0))
    }
}
