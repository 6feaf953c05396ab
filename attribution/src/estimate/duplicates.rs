//! Duplicate clusters of text rows: exact copies and near copies.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::{Error, Result, settle::keccak};

/// Tokens per shingle. A token is a maximal run of letters, digits and underscores, in lower case.
pub const SHINGLE_TOKENS: usize = 5;
/// Two rows are near copies when the Jaccard similarity of their shingle sets is at least
/// `NEAR.0 / NEAR.1`.
pub const NEAR: (usize, usize) = (4, 5);
/// Longest row, in bytes.
pub const MAX_ROW_BYTES: usize = 1 << 20;

/// 32 bands of 4 minima: rows with J = 0.8 meet in a band but for one pair in 2 * 10^7.
const BANDS: usize = 32;
const BAND_ROWS: usize = 4;
const MINIMA: usize = BANDS * BAND_ROWS;
/// End of a chain.
const NONE: u32 = u32::MAX;

/// For each row the number of the canonical row of its cluster, which is itself for a new one.
///
/// Rows are taken in order of registration. A row with the same shingles as an earlier one (or, if
/// it has no token, the same bytes) joins its cluster. Otherwise it joins the oldest cluster that
/// holds an earlier row with at least [`NEAR`] of their shingles in common. Several clusters that a
/// row is near to stay apart: a later row never changes an earlier row's cluster, so what was
/// registered stays true, and nobody can merge two honest rows by adding one between them.
///
/// Candidates come from MinHash with banding (Broder 1997); every one is then verified with the
/// exact similarity, so no two rows below [`NEAR`] are ever called copies. Deterministic. Time
/// grows with the square of the number of rows that share a band, which takes near copies that all
/// differ: ten thousand of them take seconds.
///
/// # Errors
/// [`Error::Setting`] if a row is longer than [`MAX_ROW_BYTES`] or there are 2^32 - 1 rows.
pub fn clusters<T: AsRef<str> + Sync>(rows: &[T]) -> Result<Vec<u32>> {
    if rows.len() >= NONE as usize {
        return Err(Error::setting("rows must be fewer than 2^32 - 1", rows.len()));
    }
    if let Some(row) = rows.iter().find(|row| row.as_ref().len() > MAX_ROW_BYTES) {
        return Err(Error::setting("a row must have at most 2^20 bytes", row.as_ref().len()));
    }
    let shingles: Vec<Vec<u64>> = rows.par_iter().map(|row| shingles(row.as_ref())).collect();
    let minima: Vec<[u32; MINIMA]> = shingles.par_iter().map(|set| minima(set)).collect();
    let mut same: HashMap<(&[u64], &str), u32> = HashMap::new();
    let mut bands = Bands::new(rows.len());
    let mut clusters: Vec<u32> = Vec::with_capacity(rows.len());
    for (row, (set, minima)) in (0u32..).zip(shingles.iter().zip(&minima)) {
        let text = if set.is_empty() { rows[row as usize].as_ref() } else { "" };
        if let Some(copied) = same.get(&(set.as_slice(), text)) {
            clusters.push(clusters[*copied as usize]);
            continue;
        }
        same.insert((set, text), row);
        let mut candidates: Vec<(u32, u32)> =
            bands.meet(row, minima).into_iter().map(|c| (clusters[c as usize], c)).collect();
        candidates.sort_unstable();
        let near = candidates.iter().find(|(_, c)| is_near(set, &shingles[*c as usize]));
        clusters.push(near.map_or(row, |(cluster, _)| *cluster));
        if !set.is_empty() {
            bands.insert(row, minima);
        }
    }
    Ok(clusters)
}

/// Sorted hashes of the row's shingles; one of all its tokens if it has fewer than
/// [`SHINGLE_TOKENS`], none if it has no token.
fn shingles(text: &str) -> Vec<u64> {
    let text = text.to_lowercase();
    let tokens: Vec<&str> = tokens(&text).collect();
    if tokens.is_empty() {
        return Vec::new();
    }
    let hash = |shingle: &[&str]| {
        let hash = keccak(&[shingle.join(" ").as_bytes()]);
        u64::from_be_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
    };
    let mut set: Vec<u64> = tokens.windows(SHINGLE_TOKENS.min(tokens.len())).map(hash).collect();
    set.sort_unstable();
    set.dedup();
    set
}

/// Maximal runs of letters, digits and underscores of a text that is in lower case.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|token| !token.is_empty())
}

/// `J(a, b) >= NEAR` for sorted sets, in integers.
fn is_near(a: &[u64], b: &[u64]) -> bool {
    let (small, large) = if a.len() < b.len() { (a, b) } else { (b, a) };
    if small.is_empty() || small.len() * NEAR.1 < large.len() * NEAR.0 {
        return false;
    }
    let (mut i, mut j, mut shared) = (0, 0, 0);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        shared += usize::from(x == y);
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    shared * NEAR.1 >= (a.len() + b.len() - shared) * NEAR.0
}

/// Least value over the set under each of [`MINIMA`] multiply-shift hash functions.
fn minima(set: &[u64]) -> [u32; MINIMA] {
    let functions: [(u64, u64); MINIMA] = std::array::from_fn(|k| {
        let k = 2 * k as u64;
        (splitmix(k) | 1, splitmix(k + 1))
    });
    let mut minima = [u32::MAX; MINIMA];
    for x in set {
        for (least, (a, b)) in minima.iter_mut().zip(&functions) {
            *least = (*least).min((a.wrapping_mul(*x).wrapping_add(*b) >> 32) as u32);
        }
    }
    minima
}

/// Output number `k` of splitmix64 from state 0 (Steele et al. 2014).
const fn splitmix(k: u64) -> u64 {
    let z = (k + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Rows by band: the newest row of each band value, and a chain to older rows with the same value.
struct Bands {
    newest: Vec<HashMap<[u32; BAND_ROWS], u32>>,
    older: Vec<[u32; BANDS]>,
    /// The last row that met this one, so that each is reported once.
    met_by: Vec<u32>,
}

impl Bands {
    fn new(rows: usize) -> Self {
        Self {
            newest: vec![HashMap::new(); BANDS],
            older: vec![[NONE; BANDS]; rows],
            met_by: vec![NONE; rows],
        }
    }

    fn keys(minima: &[u32; MINIMA]) -> impl Iterator<Item = (usize, [u32; BAND_ROWS])> {
        let key = |band: &[u32]| [band[0], band[1], band[2], band[3]];
        minima.chunks_exact(BAND_ROWS).map(key).enumerate()
    }

    /// Earlier rows that share a band with this one, each once.
    fn meet(&mut self, row: u32, minima: &[u32; MINIMA]) -> Vec<u32> {
        let mut met = Vec::new();
        for (band, key) in Self::keys(minima) {
            let mut next = self.newest[band].get(&key).copied().unwrap_or(NONE);
            while next != NONE {
                let earlier = next as usize;
                if self.met_by[earlier] != row {
                    self.met_by[earlier] = row;
                    met.push(next);
                }
                next = self.older[earlier][band];
            }
        }
        met
    }

    fn insert(&mut self, row: u32, minima: &[u32; MINIMA]) {
        for (band, key) in Self::keys(minima) {
            if let Some(older) = self.newest[band].insert(key, row) {
                self.older[row as usize][band] = older;
            }
        }
    }
}
