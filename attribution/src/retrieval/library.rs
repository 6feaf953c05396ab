//! All indexed Datanet versions, and how questions are asked of them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, btree_map::Entry},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rayon::prelude::*;

use super::{
    DatanetVersion, Edition, Hit, Row, Shelf, ShelfBuilder, VectorSpace, fusion::score,
    lexical::Statistics, words::Words,
};
use crate::{Error, Result, settle::Hash};

/// Most rows that one question returns.
pub const MAX_HITS: usize = 256;
/// Most distinct words of a question that are looked up; the rarest are kept.
pub const MAX_QUESTION_WORDS: usize = 64;
/// Longest question, in bytes.
pub const MAX_QUESTION_BYTES: usize = 1 << 16;
/// Rows of each ranking that are scored, whatever the limit, so that a smaller one returns the first
/// of a larger one's.
const DEPTH: usize = MAX_HITS;

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Private Datanets that it was granted. Everybody reads the others.
    pub granted: BTreeSet<Hash>,
}

impl Caller {
    fn may_read(&self, edition: &Edition) -> bool {
        !edition.private || self.granted.contains(&edition.version.datanet)
    }
}

/// A question to a [`Library`].
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Its words.
    pub text: &'a str,
    /// Its vector, in the library's space.
    pub vector: &'a [i8],
    /// Versions to look in; without any, the newest readable version of every Datanet.
    pub versions: Option<&'a [DatanetVersion]>,
    /// Rows wanted, at most [`MAX_HITS`].
    pub limit: usize,
}

/// An index over Datanet versions, one [`Shelf`] each.
///
/// Shelves never change, so a new version is searchable as soon as its own shelf is written, and
/// searches go on meanwhile. What a caller finds depends on the shelves that it may read and on
/// nothing else.
#[derive(Debug)]
pub struct Library {
    dir: PathBuf,
    space: VectorSpace,
    shelves: RwLock<BTreeMap<DatanetVersion, Arc<Shelf>>>,
}

impl Library {
    /// Opens the library in `dir`, or begins one, and verifies every shelf. What is left of shelves
    /// that were not finished is removed.
    ///
    /// # Errors
    /// [`Error::Damaged`] naming a file that is not what was written; [`Error::Setting`] if a shelf
    /// is of another vector space; [`Error::File`] if a folder cannot be read.
    pub fn open(dir: &Path, space: VectorSpace) -> Result<Self> {
        space.check()?;
        let failed = |path: &Path, reason: std::io::Error| Error::File {
            path: path.display().to_string(),
            reason: reason.to_string(),
        };
        fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
        let mut shelves = BTreeMap::new();
        for entry in fs::read_dir(dir).map_err(|e| failed(dir, e))? {
            let path = entry.map_err(|e| failed(dir, e))?.path();
            if path.extension().is_some_and(|end| end == "partial") {
                fs::remove_dir_all(&path).map_err(|e| failed(&path, e))?;
                continue;
            }
            let shelf = Shelf::open(&path)?;
            if *shelf.space() != space {
                let given = format!("{:?} in {}", shelf.space(), path.display());
                return Err(Error::setting("a library has vectors of one space", given));
            }
            if path != Shelf::folder(dir, shelf.edition()) {
                let given = path.display();
                return Err(Error::setting("a shelf's folder must have its name", given));
            }
            shelves.insert(shelf.version(), Arc::new(shelf));
        }
        Ok(Self { dir: dir.to_owned(), space, shelves: RwLock::new(shelves) })
    }

    /// What its vectors are.
    #[must_use]
    pub const fn space(&self) -> &VectorSpace {
        &self.space
    }

    /// What it holds.
    #[must_use]
    pub fn editions(&self) -> Vec<Edition> {
        self.all().iter().map(|shelf| *shelf.edition()).collect()
    }

    /// Rows in it.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.all().iter().map(|shelf| shelf.len()).sum()
    }

    /// Bytes on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.all().iter().map(|shelf| shelf.bytes()).sum()
    }

    /// Begins a new version; when it is finished, hand it to [`Self::put`].
    ///
    /// # Errors
    /// As [`ShelfBuilder::create`].
    pub fn begin(&self, edition: Edition) -> Result<ShelfBuilder> {
        ShelfBuilder::create(&self.dir, edition, self.space)
    }

    /// Completes a new version and makes it searchable.
    ///
    /// # Errors
    /// As [`ShelfBuilder::finish`] and [`Shelf::open`].
    pub fn put(&self, builder: ShelfBuilder) -> Result<()> {
        let shelf = Shelf::open(&builder.finish()?)?;
        let mut shelves = self.shelves.write().unwrap_or_else(PoisonError::into_inner);
        shelves.insert(shelf.version(), Arc::new(shelf));
        Ok(())
    }

    /// Indexes a new version whose rows and vectors are at hand.
    ///
    /// - `rows`: each with the vectors of its text and of its [`passages`](fn@super::passages), one
    ///   after the other
    ///
    /// # Errors
    /// As [`Self::begin`], [`ShelfBuilder::push`] and [`Self::put`].
    pub fn add<'a>(
        &self,
        edition: Edition,
        rows: impl IntoIterator<Item = (&'a Row, &'a [i8])>,
    ) -> Result<()> {
        let mut builder = self.begin(edition)?;
        for (row, vectors) in rows {
            builder.push(row, vectors)?;
        }
        self.put(builder)
    }

    /// Forgets a version and deletes its files. Says whether it was there.
    ///
    /// # Errors
    /// [`Error::File`] if the files cannot be deleted; the version is no longer searched then.
    pub fn remove(&self, version: DatanetVersion) -> Result<bool> {
        let removed = self.shelves.write().unwrap_or_else(PoisonError::into_inner).remove(&version);
        let Some(shelf) = removed else { return Ok(false) };
        let place = Shelf::folder(&self.dir, shelf.edition());
        // Renamed first, so that a crash leaves nothing that looks like a damaged shelf.
        let partial = place.with_extension("partial");
        fs::rename(&place, &partial).and_then(|()| fs::remove_dir_all(&partial)).map_err(|e| {
            Error::File { path: place.display().to_string(), reason: e.to_string() }
        })?;
        Ok(true)
    }

    /// Vectors of the rows of a Datanet's newest version, by row hash, so that the rows which the
    /// next version keeps need not be encoded again.
    ///
    /// # Errors
    /// As [`Shelf::hashes`].
    pub fn known(&self, datanet: Hash) -> Result<Option<Known>> {
        let newest = self.all().into_iter().rfind(|shelf| shelf.version().datanet == datanet);
        let Some(shelf) = newest else { return Ok(None) };
        let places = shelf.hashes()?.into_iter().zip(0..).collect();
        Ok(Some(Known { shelf, places }))
    }

    /// The rows that fit a question best, best first ([`Hit::score`]), among those with the largest
    /// dot products, for which every row is looked at, and those best by their words (BM25 over the
    /// question's words but the commonest of English). Ties: larger dot product, then the Datanet
    /// registered first, then the row's place. Of rows with equal texts only the one registered first
    /// is returned.
    ///
    /// # Errors
    /// [`Error::Setting`] if the question is too long, wants too many rows or names a version that
    /// the caller may not read or that is not there, which are told apart to nobody; otherwise as
    /// [`Shelf::row`].
    pub fn search(&self, question: &Question<'_>, caller: &Caller) -> Result<Vec<Hit>> {
        self.space.fits(question.vector)?;
        if question.text.len() > MAX_QUESTION_BYTES {
            let given = question.text.len();
            return Err(Error::setting("a question must have at most 2^16 bytes", given));
        }
        if question.limit > MAX_HITS {
            return Err(Error::setting("a question returns at most 256 rows", question.limit));
        }
        let shelves = self.readable(question.versions, caller)?;
        if question.limit == 0 || shelves.is_empty() {
            return Ok(Vec::new());
        }
        let vectors = by_vectors(&shelves, question.vector)?;
        let mut found: BTreeMap<Place, Found> =
            vectors.into_iter().map(|(place, dot)| (place, Found { dot, bm25_milli: 0 })).collect();
        self.add_words(&shelves, question, &mut found)?;
        self.collect(&shelves, question, found)
    }

    /// Adds the rows best by words, and the words' scores of those that are there.
    fn add_words(
        &self,
        shelves: &[Arc<Shelf>],
        question: &Question<'_>,
        found: &mut BTreeMap<Place, Found>,
    ) -> Result<()> {
        let (words, statistics) = question_words(shelves, question.text)?;
        if words.is_empty() {
            return Ok(());
        }
        let best = by_words(shelves, &words, &statistics)?;
        for (number, shelf) in shelves.iter().enumerate() {
            let known: Vec<usize> =
                found.range((number, 0)..(number + 1, 0)).map(|((_, place), _)| *place).collect();
            for (place, score) in shelf.words_of(&words, &known, &statistics)? {
                if let Some(row) = found.get_mut(&(number, place)) {
                    row.bm25_milli = milli(score);
                }
            }
        }
        for (place, bm25_milli) in best {
            if let Entry::Vacant(vacant) = found.entry(place) {
                let dot = shelves[place.0].dot(place.1, question.vector)?;
                vacant.insert(Found { dot, bm25_milli });
            }
        }
        Ok(())
    }

    fn collect(
        &self,
        shelves: &[Arc<Shelf>],
        question: &Question<'_>,
        found: BTreeMap<Place, Found>,
    ) -> Result<Vec<Hit>> {
        let scored = |(place, row): (Place, Found)| {
            let crowding = shelves[place.0].crowding(place.1);
            (score(row.dot, crowding, row.bm25_milli, &self.space), row, place)
        };
        let mut ranked: Vec<(i64, Found, Place)> = found.into_iter().map(scored).collect();
        ranked.sort_unstable_by_key(|(score, row, place)| {
            (Reverse(*score), Reverse(row.dot), *place)
        });
        ranked.truncate(question.limit);
        let hit = |(score, found, place): (i64, Found, Place)| {
            let shelf = &shelves[place.0];
            Ok(Hit {
                version: shelf.version(),
                row: shelf.row(place.1)?,
                vectors: shelf.vectors(place.1)?,
                relevance: u32::try_from(found.dot).unwrap_or(0),
                dot: found.dot,
                bm25_milli: found.bm25_milli,
                score,
            })
        };
        ranked.into_iter().map(hit).collect()
    }

    fn readable(
        &self,
        versions: Option<&[DatanetVersion]>,
        caller: &Caller,
    ) -> Result<Vec<Arc<Shelf>>> {
        let mut shelves = self.all();
        shelves.retain(|shelf| caller.may_read(shelf.edition()));
        match versions {
            Some(wanted) => {
                let wanted: BTreeSet<_> = wanted.iter().copied().collect();
                shelves.retain(|shelf| wanted.contains(&shelf.version()));
                if shelves.len() != wanted.len() {
                    let given = format!("{} of {}", shelves.len(), wanted.len());
                    return Err(Error::setting("versions asked for must be there to read", given));
                }
            }
            None => {
                let newest: BTreeMap<Hash, u32> =
                    shelves.iter().map(|s| (s.version().datanet, s.version().version)).collect();
                shelves.retain(|s| newest[&s.version().datanet] == s.version().version);
            }
        }
        shelves.sort_by_key(|shelf| (shelf.edition().registered, shelf.version()));
        Ok(shelves)
    }

    /// The shelves in the order of their versions.
    fn all(&self) -> Vec<Arc<Shelf>> {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        shelves.values().cloned().collect()
    }
}

/// Vectors that a library has already.
#[derive(Debug)]
pub struct Known {
    shelf: Arc<Shelf>,
    places: HashMap<Hash, usize>,
}

impl Known {
    /// The vectors of the row with this hash, of its text first, if it is there.
    ///
    /// # Errors
    /// [`Error::File`] if they cannot be read.
    pub fn vectors(&self, row: &Hash) -> Result<Option<Vec<i8>>> {
        self.places.get(row).map(|place| self.shelf.vectors(*place)).transpose()
    }
}

/// A row by shelf and place: in the order of registration.
type Place = (usize, usize);

/// What is known of a row that may be returned.
#[derive(Clone, Copy, Debug)]
struct Found {
    dot: i32,
    bm25_milli: u32,
}

fn by_vectors(shelves: &[Arc<Shelf>], vector: &[i8]) -> Result<Vec<(Place, i32)>> {
    let of = |(number, shelf): (usize, &Arc<Shelf>)| {
        let found = shelf.nearest(vector, DEPTH)?;
        Ok(found.into_iter().map(|(place, dot)| ((number, place), dot)).collect::<Vec<_>>())
    };
    let found: Vec<_> = shelves.par_iter().enumerate().map(of).collect::<Result<_>>()?;
    let mut found: Vec<(Place, i32)> = found.into_iter().flatten().collect();
    found.sort_unstable_by_key(|(place, dot)| (Reverse(*dot), *place));
    distinct(shelves, found)
}

/// The words of a question that rows hold, the rarest first, and what is known of them.
fn question_words(shelves: &[Arc<Shelf>], text: &str) -> Result<(Vec<String>, Statistics)> {
    let content = Words::new().content(text);
    let words =
        if content.is_empty() { Words::new().of(text) } else { content.into_iter().collect() };
    let mut words: Vec<String> = words.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let statistics = Statistics::of(shelves, &words)?;
    words.retain(|word| statistics.rows_with(word) > 0);
    words.sort_by_key(|word| statistics.rows_with(word));
    words.truncate(MAX_QUESTION_WORDS);
    Ok((words, statistics))
}

fn by_words(
    shelves: &[Arc<Shelf>],
    words: &[String],
    statistics: &Statistics,
) -> Result<Vec<(Place, u32)>> {
    let of = |(number, shelf): (usize, &Arc<Shelf>)| {
        let found = shelf.by_words(words, DEPTH, statistics)?;
        Ok(found.into_iter().map(|(p, score)| ((number, p), milli(score))).collect::<Vec<_>>())
    };
    let found: Vec<_> = shelves.par_iter().enumerate().map(of).collect::<Result<_>>()?;
    let mut found: Vec<(Place, u32)> = found.into_iter().flatten().collect();
    found.sort_unstable_by_key(|(place, score)| (Reverse(*score), *place));
    distinct(shelves, found)
}

fn milli(score: f32) -> u32 {
    (f64::from(score) * 1000.0).round() as u32
}

/// The first [`DEPTH`] of a ranking whose texts differ, so that copies in other Datanets crowd nobody
/// out. Copies score alike, so the one that stays is the one registered first.
fn distinct<S>(shelves: &[Arc<Shelf>], ranking: Vec<(Place, S)>) -> Result<Vec<(Place, S)>> {
    let mut seen = HashSet::new();
    let mut kept = Vec::with_capacity(DEPTH.min(ranking.len()));
    for (place, score) in ranking {
        if kept.len() == DEPTH {
            break;
        }
        if shelves.len() == 1 || seen.insert(shelves[place.0].row(place.1)?.row_hash) {
            kept.push((place, score));
        }
    }
    Ok(kept)
}
