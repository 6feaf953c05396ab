//! The Datanet: every function of a folder of Solidity files.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use attribution::{estimate::duplicates::clusters, retrieval::Row, settle::keccak};

use super::{Failure, solidity::segments};

/// A row and the name by which questions call it.
#[derive(Debug)]
pub(crate) struct NamedRow {
    pub(crate) row: Row,
    /// `Contract.function`.
    pub(crate) name: String,
}

/// Functions in the order of their files, one per duplicate cluster.
pub(crate) fn rows(root: &Path) -> Result<Vec<NamedRow>, Failure> {
    let mut found = Vec::new();
    for path in files(root)? {
        let source = fs::read_to_string(&path)?;
        let file = path.strip_prefix(root)?.display().to_string();
        for segment in segments(&source) {
            let name = format!("{}.{}", segment.contract, function(&segment.text));
            let text = format!("// {}\n{}", segment.contract, segment.text);
            found.push((name, file.clone(), text));
        }
    }
    let texts: Vec<&str> = found.iter().map(|(_, _, text)| text.as_str()).collect();
    let canonical: BTreeSet<u32> = clusters(&texts)?.into_iter().collect();
    let kept = found.into_iter().enumerate().filter(|(i, _)| canonical.contains(&(*i as u32)));
    let named = |(index, (_, (name, source, text))): (u64, (usize, (String, String, String)))| {
        let row_hash = keccak(&[text.as_bytes()]);
        NamedRow { row: Row { index, contributor: [1; 20], row_hash, source, text }, name }
    };
    Ok((0..).zip(kept).map(named).collect())
}

/// Name of the function or modifier, or the keyword of what has none, behind the comments.
fn function(text: &str) -> &str {
    let code = text.lines().map(str::trim_start).find(|line| {
        !line.is_empty() && !["/*", "*", "//"].iter().any(|start| line.starts_with(start))
    });
    let code = code.unwrap_or_default();
    let named = ["function ", "modifier "].iter().find_map(|keyword| code.strip_prefix(keyword));
    named
        .unwrap_or(code)
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()
        .unwrap_or_default()
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|end| end == "sol") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
