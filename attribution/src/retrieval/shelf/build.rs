//! Writing a shelf, one row at a time.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{
    super::{Edition, Row, VectorSpace, lexical::LexicalWriter, words::Words},
    PLACES, ROWS, WORDS,
    manifest::{Manifest, file_error, folder},
    vectors::VectorWriter,
};
use crate::{
    Error, Result,
    settle::{Hash, keccak},
};

/// Most rows of one shelf.
pub(super) const MAX_ROWS: u64 = 1 << 24;

/// Indexes the rows of one Datanet version as they come: rows and vectors go to disk, words through
/// a bounded buffer, and 40 bytes per row stay in memory to refuse repeats.
/// Vectors are read once more at the end, to tell how crowded rows are.
///
/// Nothing is to be seen of the shelf before [`finish`](Self::finish): it is written under another
/// name, and one that was left unfinished is begun again.
pub struct ShelfBuilder {
    edition: Edition,
    space: VectorSpace,
    place: PathBuf,
    partial: PathBuf,
    rows: BufWriter<File>,
    places: BufWriter<File>,
    vectors: VectorWriter,
    lexical: LexicalWriter,
    words: Words,
    seen: HashSet<Hash>,
    written: u64,
}

impl core::fmt::Debug for ShelfBuilder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ShelfBuilder").field("edition", &self.edition).finish_non_exhaustive()
    }
}

impl ShelfBuilder {
    /// Begins the shelf of `edition` under the folder `library`.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is there already or the space is out of bounds; [`Error::File`] or
    /// [`Error::Lexical`] if files cannot be made.
    pub fn create(library: &Path, edition: Edition, space: VectorSpace) -> Result<Self> {
        space.check()?;
        let place = folder(library, &edition);
        if place.exists() {
            let given = place.display();
            return Err(Error::setting("a Datanet version is indexed once", given));
        }
        let partial = place.with_extension("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(|e| file_error(&partial, &e))?;
        }
        let words = partial.join(WORDS);
        fs::create_dir_all(&words).map_err(|e| file_error(&words, &e))?;
        let open = |name: &str| {
            let path = partial.join(name);
            File::create(&path).map(BufWriter::new).map_err(|e| file_error(&path, &e))
        };
        Ok(Self {
            edition,
            space,
            rows: open(ROWS)?,
            places: open(PLACES)?,
            vectors: VectorWriter::create(&partial, &space)?,
            lexical: LexicalWriter::create(&words)?,
            words: Words::new(),
            seen: HashSet::new(),
            written: 0,
            place,
            partial,
        })
    }

    /// Adds a row and its vectors: of its text, and of each of its
    /// [`passages`](fn@super::super::passages).
    ///
    /// # Errors
    /// [`Error::Setting`] if the text is empty, too long, not what its hash says, or there already;
    /// [`Error::Shape`] if the vectors are not of the library's space or too many; [`Error::File`] or
    /// [`Error::Lexical`] if it cannot be written. The shelf is then unfinished for good.
    pub fn push(&mut self, row: &Row, vectors: &[i8]) -> Result<()> {
        self.space.fits_row(vectors)?;
        check(row)?;
        if self.written == MAX_ROWS {
            return Err(Error::setting("a shelf must have at most 2^24 rows", MAX_ROWS + 1));
        }
        if !self.seen.insert(row.row_hash) {
            return Err(Error::setting("a shelf holds one row per text", row.index));
        }
        let bytes = borsh::to_vec(row).expect("writing to a vector does not fail");
        let length = u32::try_from(bytes.len()).expect("texts and sources are bounded");
        self.rows
            .write_all(&bytes)
            .and_then(|()| self.places.write_all(&length.to_le_bytes()))
            .map_err(|e| file_error(&self.partial, &e))?;
        self.vectors.push(row.row_hash, vectors)?;
        let words = self.words.of(&row.text);
        self.lexical.push(self.written, &words)?;
        self.written += 1;
        Ok(())
    }

    /// Rows so far.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.written
    }

    /// Completes the files, hashes them, and gives the shelf its name. Returns its folder.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Lexical`] if it cannot be written.
    pub fn finish(self) -> Result<PathBuf> {
        for mut file in [self.rows, self.places] {
            file.flush()
                .and_then(|()| file.get_ref().sync_all())
                .map_err(|e| file_error(&self.partial, &e))?;
        }
        self.vectors.finish()?;
        self.lexical.finish()?;
        Manifest::write(&self.partial, self.edition, self.space, self.written)?;
        fs::rename(&self.partial, &self.place).map_err(|e| file_error(&self.place, &e))?;
        Ok(self.place)
    }
}

fn check(row: &Row) -> Result<()> {
    row.check_bounds()?;
    if keccak(&[row.text.as_bytes()]) != row.row_hash {
        return Err(Error::setting("a row's hash must be that of its text", row.index));
    }
    Ok(())
}
