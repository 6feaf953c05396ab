//! A Datanet version's way into the library.

use std::time::{Duration, Instant};

use attribution::{
    retrieval::{DatanetVersion, Edition, Known, Row},
    settle::Hash,
};
use tokio_util::sync::CancellationToken;

use super::{
    Retrieval,
    journal::Journal,
    relevance::seen,
    rows::{indexed, is_canonical},
};
use crate::{Error, Result, datanet::Datanet};

/// Rows that are encoded together, and after which vectors are written down.
const CHUNK: usize = 32;
/// How often progress is told.
const TELL: Duration = Duration::from_secs(5);

/// Indexes the canonical rows of a version. Vectors of rows that the Datanet's newest version here has
/// too are taken from it; those computed before the node was stopped, from its journal. A row that
/// cannot be indexed (empty, too long, no text to the encoder) is left out and told of. Returns how
/// many are searchable.
///
/// - `registered`: [`Edition::registered`]
///
/// # Errors
/// [`Error::Stopped`] if `stop` is cancelled, after which it is taken up again; [`Error::Settle`] or
/// [`Error::Io`] if files cannot be written.
pub(crate) fn index(
    retrieval: &Retrieval,
    datanet: &Datanet,
    registered: u64,
    stop: &CancellationToken,
) -> Result<usize> {
    let (id, number) = (datanet.manifest.id, datanet.manifest.version);
    let edition = Edition {
        version: DatanetVersion { datanet: id.0, version: number },
        registered,
        private: retrieval.is_private(id),
    };
    let library = retrieval.library();
    let path = retrieval.journals().join(format!("{}-{number}", hex::encode(id)));
    let mut vectors = Vectors {
        retrieval,
        known: library.known(id.0)?,
        journal: Journal::open(&path, retrieval.encoder().dimension())?,
    };
    let rows: Vec<Row> = datanet
        .canonical()
        .filter(|row| is_canonical(row))
        .map(indexed)
        .filter(|row| row.check_bounds().is_ok() || left_out(row, "its text is empty or too long"))
        .collect();
    let mut builder = library.begin(edition)?;
    let (mut told, mut done) = (Instant::now(), 0);
    for chunk in rows.chunks(CHUNK) {
        if stop.is_cancelled() {
            return Err(Error::Stopped("indexing"));
        }
        for (row, vectors) in chunk.iter().zip(vectors.of(chunk)?) {
            if let Some(vectors) = vectors {
                builder.push(row, &vectors)?;
            }
        }
        done += chunk.len();
        retrieval.metrics().pending(rows.len() - done);
        if told.elapsed() >= TELL {
            told = Instant::now();
            tracing::info!(target: "node::retrieval", datanet = %id, version = number, done, of = rows.len(), "indexing");
        }
    }
    let searchable = builder.rows() as usize;
    library.put(builder)?;
    vectors.journal.finish()?;
    retrieval.count();
    Ok(searchable)
}

/// Tells why a row is not indexed. False: it is not kept.
fn left_out(row: &Row, why: &str) -> bool {
    tracing::warn!(target: "node::retrieval", row = row.index, why, "a row is not indexed");
    false
}

/// Where vectors come from.
struct Vectors<'a> {
    retrieval: &'a Retrieval,
    known: Option<Known>,
    journal: Journal,
}

impl Vectors<'_> {
    /// The vectors of each row, of its text and then of its passages; `None` for one that has none.
    fn of(&mut self, rows: &[Row]) -> Result<Vec<Option<Vec<i8>>>> {
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let journalled = self.journal.vectors(&row.row_hash).map(<[i8]>::to_vec);
            found.push(match (journalled, &self.known) {
                (None, Some(known)) => known.vectors(&row.row_hash)?,
                (journalled, _) => journalled,
            });
        }
        let missing: Vec<usize> = (0..rows.len()).filter(|at| found[*at].is_none()).collect();
        let mut computed: Vec<(Hash, Vec<i8>)> = Vec::with_capacity(missing.len());
        let rows_missing: Vec<&Row> = missing.iter().map(|at| &rows[*at]).collect();
        for (at, vectors) in missing.into_iter().zip(self.encoded(&rows_missing)) {
            if let Some(vectors) = &vectors {
                computed.push((rows[at].row_hash, vectors.clone()));
            } else {
                left_out(&rows[at], "it has no vector");
            }
            found[at] = vectors;
        }
        self.journal.add(&computed)?;
        self.retrieval.metrics().encoded(computed.len());
        Ok(found)
    }

    /// One row that cannot be encoded does not keep the others out.
    fn encoded(&self, rows: &[&Row]) -> Vec<Option<Vec<i8>>> {
        let encoder = self.retrieval.encoder();
        let texts: Vec<Vec<String>> = rows.iter().map(|row| seen(&row.text)).collect();
        let all: Vec<&String> = texts.iter().flatten().collect();
        if let Ok(vectors) = encoder.encode_int8(&all) {
            let mut vectors = vectors.into_iter();
            let of_row =
                |texts: &Vec<String>| vectors.by_ref().take(texts.len()).flatten().collect();
            return texts.iter().map(of_row).map(Some).collect();
        }
        let one = |texts: &Vec<String>| Some(encoder.encode_int8(texts).ok()?.concat());
        texts.iter().map(one).collect()
    }
}
