use std::cmp::Ordering;

use super::{
    CountProof, LEAF_BYTES, LEAF_POSITIONS, LEAF_SYMBOLS, LeafOpening, LongestProof, MissingProof,
    OrderProof, RowOpening, ShardCommitment, SuffixOpening, tree::opens,
};
use crate::{
    Error, Result,
    estimate::RowSource,
    spans::{
        Longest,
        header::ROW_BYTES,
        shard::{ABSENT, row_of, start_of},
    },
};

const NOT_COMMITTED: Error = Error::SpanProof("an opened leaf must be the committed one");

/// A suffix whose leaves are the committed ones.
struct Suffix<'a> {
    position: u64,
    positions: u64,
    text: &'a [LeafOpening],
}

impl ShardCommitment {
    /// How often an n-gram occurs in the shard, if its array is in order.
    ///
    /// # Errors
    /// [`Error::SpanProof`] naming the rule that the proof breaks.
    pub fn count(&self, ngram: &[u32], proof: &CountProof) -> Result<u64> {
        let CountProof { low, high, before, ends, after } = proof;
        if low > high || *high > self.tokens {
            return Err(Error::SpanProof("ranks must ascend up to the number of tokens"));
        }
        if before.is_some() != (*low > 0)
            || ends.is_some() != (low < high)
            || after.is_some() != (*high < self.tokens)
        {
            return Err(Error::SpanProof("suffixes at and beside the ends must be opened"));
        }
        let expect = |rank, opening, ordering| {
            if self.suffix(rank, opening)?.compare(ngram)? == ordering {
                return Ok(());
            }
            Err(Error::SpanProof(
                "exactly the suffixes within the ranks must start with the n-gram",
            ))
        };
        if let Some(before) = before {
            expect(low - 1, before, Ordering::Less)?;
        }
        if let Some([first, last]) = ends {
            expect(*low, first, Ordering::Equal)?;
            expect(high - 1, last, Ordering::Equal)?;
        }
        if let Some(after) = after {
            expect(*high, after, Ordering::Greater)?;
        }
        Ok(high - low)
    }

    /// The longest prefix of a text that occurs in the shard, if its array is in order.
    ///
    /// # Errors
    /// [`Error::SpanProof`] naming the rule that the proof breaks.
    pub fn longest(&self, text: &[u32], proof: &LongestProof) -> Result<Longest> {
        let LongestProof { tokens, found, longer } = proof;
        let prefix = text
            .get(..*tokens)
            .ok_or(Error::SpanProof("a match must not be longer than the text"))?;
        let count = self.count(prefix, found)?;
        if count == 0 && *tokens > 0 {
            return Err(Error::SpanProof("a match must occur"));
        }
        match longer {
            None if *tokens == text.len() => {}
            Some(longer) if *tokens < text.len() => {
                if self.count(&text[..=*tokens], longer)? > 0 {
                    return Err(Error::SpanProof("a longer match must not occur"));
                }
            }
            _ => {
                return Err(Error::SpanProof(
                    "the next longer match must be shown, if there is one",
                ));
            }
        }
        Ok(Longest { tokens: *tokens, count })
    }

    /// Succeeds if the proof shows that the committed array is wrong: a pointer to no token, or two
    /// neighbours that do not strictly ascend.
    ///
    /// # Errors
    /// [`Error::SpanProof`] if it does not.
    pub fn disproves_order(&self, proof: &OrderProof) -> Result<()> {
        let first = self.suffix(proof.rank, &proof.first)?;
        if first.position >= self.positions || first.symbol(0)? == 0 {
            return Ok(());
        }
        let opening = proof.second.as_ref();
        let opening = opening.ok_or(Error::SpanProof("the suffix is that of a token"))?;
        let second = self.suffix(proof.rank + 1, opening)?;
        if first.ascends_to(&second)? {
            return Err(Error::SpanProof("the suffixes are in order"));
        }
        Ok(())
    }

    /// Succeeds if the proof shows that the committed array is wrong: it is in order and lacks a
    /// suffix of a token.
    ///
    /// # Errors
    /// [`Error::SpanProof`] if it does not.
    pub fn disproves_completeness(&self, proof: &MissingProof) -> Result<()> {
        let MissingProof { position, text, rank, before, after } = proof;
        if *rank > self.tokens
            || before.is_some() != (*rank > 0)
            || after.is_some() != (*rank < self.tokens)
        {
            return Err(Error::SpanProof("suffixes beside the place must be opened"));
        }
        let missing = self.text_at(*position, text)?;
        if *position >= self.positions || missing.symbol(0)? == 0 {
            return Err(Error::SpanProof("the missing suffix must be that of a token"));
        }
        let mut holds = true;
        if let Some(before) = before {
            holds &= self.suffix(rank - 1, before)?.ascends_to(&missing)?;
        }
        if let Some(after) = after {
            holds &= missing.ascends_to(&self.suffix(*rank, after)?)?;
        }
        if holds { Ok(()) } else { Err(Error::SpanProof("the suffix is not between the two")) }
    }

    /// The position of the suffix at a rank; the opening needs no text.
    ///
    /// # Errors
    /// [`Error::SpanProof`] unless it is the committed one.
    pub fn position(&self, rank: u64, opening: &SuffixOpening) -> Result<u64> {
        Ok(self.suffix(rank, opening)?.position)
    }

    /// Whether the suffixes at two ranks begin with the same `tokens` tokens.
    ///
    /// # Errors
    /// [`Error::SpanProof`] naming the rule that an opening breaks.
    pub fn agree(
        &self,
        tokens: u64,
        a: (u64, &SuffixOpening),
        b: (u64, &SuffixOpening),
    ) -> Result<bool> {
        let (a, b) = (self.suffix(a.0, a.1)?, self.suffix(b.0, b.1)?);
        for at in 0..tokens {
            let (a, b) = (a.symbol(at)?, b.symbol(at)?);
            if a != b || a == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A row of the shard.
    ///
    /// # Errors
    /// [`Error::SpanProof`] unless it is the committed one.
    pub fn row(&self, row: u32, opening: &LeafOpening) -> Result<RowSource> {
        self.check_row(row, opening)?;
        row_of(&opening.leaf).ok_or(NOT_COMMITTED)
    }

    /// The row of the shard that a position is in.
    ///
    /// # Errors
    /// [`Error::SpanProof`] naming the rule that the opening breaks.
    pub fn row_at(&self, position: u64, opening: &RowOpening) -> Result<RowSource> {
        let RowOpening { row, entry, next } = opening;
        let source = self.row(*row, entry)?;
        let is_last = u64::from(*row) + 1 == u64::from(self.rows);
        if next.is_some() == is_last {
            return Err(Error::SpanProof("the next row must be opened, if there is one"));
        }
        let end = match next {
            Some(next) => {
                self.check_row(row + 1, next)?;
                start_of(&next.leaf)
            }
            None => self.positions,
        };
        if start_of(&entry.leaf) <= position && position < end {
            return Ok(source);
        }
        Err(Error::SpanProof("a position must be in its row"))
    }

    fn check_row(&self, row: u32, opening: &LeafOpening) -> Result<()> {
        let bytes = usize::try_from(ROW_BYTES).expect("57");
        if opens(opening, bytes, self.row_root, row.into(), self.rows.into()) {
            return Ok(());
        }
        Err(NOT_COMMITTED)
    }

    fn suffix<'a>(&self, rank: u64, opening: &'a SuffixOpening) -> Result<Suffix<'a>> {
        let leaves = self.tokens.div_ceil(LEAF_POSITIONS);
        let number = rank / LEAF_POSITIONS;
        let pointer = &opening.pointer;
        if rank >= self.tokens || !opens(pointer, LEAF_BYTES, self.suffix_root, number, leaves) {
            return Err(NOT_COMMITTED);
        }
        let (pointers, _) = pointer.leaf.as_chunks();
        let at = usize::try_from(rank % LEAF_POSITIONS).expect("below 32");
        self.text_at(u64::from_be_bytes(pointers[at]), &opening.text)
    }

    /// The text from a position on, of which leaves are opened.
    fn text_at<'a>(&self, position: u64, text: &'a [LeafOpening]) -> Result<Suffix<'a>> {
        let leaves = self.positions.div_ceil(LEAF_SYMBOLS);
        for (number, leaf) in (position / LEAF_SYMBOLS..).zip(text) {
            if !opens(leaf, LEAF_BYTES, self.text_root, number, leaves) {
                return Err(NOT_COMMITTED);
            }
        }
        Ok(Suffix { position, positions: self.positions, text })
    }
}

impl Suffix<'_> {
    /// The symbol `at` symbols after the suffix's first; 0 beyond the text.
    fn symbol(&self, at: u64) -> Result<u32> {
        let Some(position) = self.position.checked_add(at).filter(|&p| p < self.positions) else {
            return Ok(0);
        };
        let leaf = position / LEAF_SYMBOLS - self.position / LEAF_SYMBOLS;
        let leaf = usize::try_from(leaf).ok().and_then(|leaf| self.text.get(leaf));
        let (symbols, _) = leaf
            .ok_or(Error::SpanProof("every symbol that a claim reads must be opened"))?
            .leaf
            .as_chunks();
        let at = usize::try_from(position % LEAF_SYMBOLS).expect("below 64");
        Ok(u32::from_be_bytes(symbols[at]))
    }

    /// Compares the text, cut to the n-gram's length, with the n-gram.
    fn compare(&self, ngram: &[u32]) -> Result<Ordering> {
        for (at, token) in (0..).zip(ngram) {
            let expected = token.checked_add(1).unwrap_or(ABSENT);
            match self.symbol(at)?.cmp(&expected) {
                Ordering::Equal => {}
                unequal => return Ok(unequal),
            }
        }
        Ok(Ordering::Equal)
    }

    /// Whether this suffix comes before the other: by symbols up to the end of the row, then by
    /// position.
    fn ascends_to(&self, other: &Self) -> Result<bool> {
        // Ends when a row does, or at a leaf that was not opened.
        for at in 0.. {
            let (a, b) = (self.symbol(at)?, other.symbol(at)?);
            if a != b || a == 0 {
                return Ok(a < b || a == b && self.position < other.position);
            }
        }
        unreachable!("a proof has finitely many leaves")
    }
}
