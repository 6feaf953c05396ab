use std::cmp::Ordering;

use super::{
    CountProof, LEAF_POSITIONS, LEAF_SYMBOLS, LongestProof, OrderProof, ShardCommitment,
    SuffixOpening, tree::opens,
};
use crate::{
    Error, Result,
    spans::{Longest, shard::ABSENT},
};

/// A suffix whose leaves are the committed ones.
struct Suffix<'a> {
    position: u64,
    positions: u64,
    opening: &'a SuffixOpening,
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
        // Ends when a row does, or at a leaf that was not opened.
        for at in 0.. {
            let (a, b) = (first.symbol(at)?, second.symbol(at)?);
            let ascends = a < b || a == 0 && b == 0 && first.position < second.position;
            if a != b || a == 0 {
                return if ascends {
                    Err(Error::SpanProof("the suffixes are in order"))
                } else {
                    Ok(())
                };
            }
        }
        unreachable!("a proof has finitely many leaves")
    }

    fn suffix<'a>(&self, rank: u64, opening: &'a SuffixOpening) -> Result<Suffix<'a>> {
        let not_committed = Error::SpanProof("an opened leaf must be the committed one");
        let leaves = self.tokens.div_ceil(LEAF_POSITIONS);
        let number = rank / LEAF_POSITIONS;
        if rank >= self.tokens || !opens(&opening.pointer, self.suffix_root, number, leaves) {
            return Err(not_committed);
        }
        let (pointers, _) = opening.pointer.leaf.as_chunks();
        let at = usize::try_from(rank % LEAF_POSITIONS).expect("below 32");
        let position = u64::from_be_bytes(pointers[at]);
        let leaves = self.positions.div_ceil(LEAF_SYMBOLS);
        for (number, leaf) in (position / LEAF_SYMBOLS..).zip(&opening.text) {
            if !opens(leaf, self.text_root, number, leaves) {
                return Err(not_committed);
            }
        }
        Ok(Suffix { position, positions: self.positions, opening })
    }
}

impl Suffix<'_> {
    /// The symbol `at` symbols after the suffix's first; 0 beyond the text.
    fn symbol(&self, at: u64) -> Result<u32> {
        let Some(position) = self.position.checked_add(at).filter(|&p| p < self.positions) else {
            return Ok(0);
        };
        let leaf = position / LEAF_SYMBOLS - self.position / LEAF_SYMBOLS;
        let leaf = usize::try_from(leaf).ok().and_then(|leaf| self.opening.text.get(leaf));
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
}
