//! From source files to rows with contributors.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use alloy::primitives::{Address, B256, keccak256};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{Row, directory::damaged, segments};
use crate::error::Result;

/// A piece of data before it is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// Who offers it.
    pub contributor: Address,
    /// The data.
    pub text: String,
    /// File that it was cut from.
    pub source: String,
}

/// Cuts every `.sol` file under `root` into functions of at most `max_tokens` tokens.
///
/// Each text starts with a comment naming its contract. Returns `(source path relative to root,
/// text)` in path order. `count` gives the number of tokens of a text.
///
/// # Errors
/// [`crate::Error::Datanet`] if a file or folder cannot be read.
pub fn cut(
    root: &Path,
    max_tokens: usize,
    count: &dyn Fn(&str) -> usize,
) -> Result<Vec<(String, String)>> {
    let mut pieces = Vec::new();
    for path in solidity_files(root)? {
        let source = fs::read_to_string(&path).map_err(|e| damaged(&path, e))?;
        let name = path.strip_prefix(root).expect("found under root").display().to_string();
        for segment in segments(&source) {
            let header = format!("// {}\n", segment.contract);
            for piece in fit(&header, &segment.text, max_tokens, count) {
                pieces.push((name.clone(), piece));
            }
        }
    }
    Ok(pieces)
}

/// `header + text` cut at line ends into pieces of at most `max_tokens`; a line that is longer by
/// itself is left out.
pub fn fit(
    header: &str,
    text: &str,
    max_tokens: usize,
    count: &dyn Fn(&str) -> usize,
) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = header.to_owned();
    for line in text.split_inclusive('\n') {
        let longer = format!("{piece}{line}");
        if count(&longer) <= max_tokens {
            piece = longer;
            continue;
        }
        if piece != header {
            pieces.push(piece);
        }
        let alone = format!("{header}{line}");
        piece = if count(&alone) <= max_tokens { alone } else { header.to_owned() };
    }
    if piece != header {
        pieces.push(piece);
    }
    pieces
}

/// Registers contributions in order and names each row's cluster.
///
/// `clusters[i]` is the position of the first contribution that `i` is a duplicate of (`i` itself
/// if it is new), as `attribution::estimate` finds them.
pub fn assemble(contributions: Vec<Contribution>, clusters: &[usize]) -> Vec<Row> {
    assert_eq!(contributions.len(), clusters.len(), "one cluster per contribution");
    let hashes: Vec<B256> = contributions.iter().map(|c| keccak256(c.text.as_bytes())).collect();
    let row = |(index, contribution): (usize, Contribution)| Row {
        index: index as u64,
        text: contribution.text,
        contributor: contribution.contributor,
        row_hash: hashes[index],
        cluster_hash: hashes[clusters[index]],
        source: contribution.source,
    };
    contributions.into_iter().enumerate().map(row).collect()
}

/// `text` with its whitespace-separated words in a random order.
pub fn shuffle_tokens(text: &str, seed: u64) -> String {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    words.join(" ")
}

/// The `limit` pieces with the lowest hashes, in their first order, exact repeats left out.
pub fn choose(pieces: Vec<(String, String)>, limit: usize) -> Vec<(String, String)> {
    let mut by_hash: BTreeMap<B256, usize> = BTreeMap::new();
    for (position, (_, text)) in pieces.iter().enumerate() {
        by_hash.entry(keccak256(text.as_bytes())).or_insert(position);
    }
    let mut kept: Vec<usize> = by_hash.into_values().take(limit).collect();
    kept.sort_unstable();
    let mut pieces: Vec<Option<_>> = pieces.into_iter().map(Some).collect();
    kept.into_iter().filter_map(|position| pieces[position].take()).collect()
}

fn solidity_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| damaged(&folder, e))? {
            let entry = entry.map_err(|e| damaged(&folder, e))?;
            let kind = entry.file_type().map_err(|e| damaged(&folder, e))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|e| e == "sol") {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::{super::Datanet, *};

    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    #[test]
    fn pieces_hold_at_most_the_limit_and_lose_no_short_line() {
        let text = "a b c\nd e\nf g h i j k l m n\no p\n";

        let pieces = fit("// T\n", text, 7, &words);

        assert_eq!(pieces, ["// T\na b c\nd e\n", "// T\no p\n"]);
    }

    #[test]
    fn choosing_is_independent_of_order_and_drops_repeats() {
        let piece = |i: u32| (format!("{i}.sol"), format!("text {}", i % 40));
        let forward: Vec<_> = (0..100).map(piece).collect();
        let backward: Vec<_> = forward.iter().rev().cloned().collect();
        let texts = |chosen: Vec<(String, String)>| {
            let mut texts: Vec<_> = chosen.into_iter().map(|(_, text)| text).collect();
            texts.sort();
            texts
        };

        let chosen = texts(choose(forward, 10));

        assert_eq!(chosen.len(), 10);
        assert_eq!(chosen, texts(choose(backward, 10)));
    }

    #[test]
    fn a_copy_takes_the_cluster_of_the_first() {
        let from = |who: u8, text: &str| Contribution {
            contributor: Address::repeat_byte(who),
            text: text.to_owned(),
            source: String::new(),
        };

        let rows = assemble(vec![from(1, "a"), from(2, "b"), from(3, "a")], &[0, 1, 0]);

        assert_eq!(rows[2].cluster_hash, rows[0].row_hash);
        let datanet = Datanet::new("test", "MIT", rows);
        let canonical: Vec<u64> = datanet.canonical().map(|row| row.index).collect();
        assert_eq!(canonical, [0, 1]);
    }
}
