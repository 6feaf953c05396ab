//! Two Datanets from the sources that the set-up installed, with sixteen contributors.

use std::path::{Path, PathBuf};

use alloy::primitives::{Address, keccak256};
use attribution::estimate::duplicates;
use eyre::{Result, ensure};
use node::datanet::{Contribution, Datanet, Row, assemble, choose, cut, shuffle_tokens};

use crate::accounts::Cast;

/// Longest row, in tokens of the base model.
const MAX_ROW_TOKENS: usize = 128;
/// Honest rows of a Datanet, and rows of each bad contributor: 400 together.
const HONEST_ROWS: usize = 320;
const BAD_ROWS: usize = 40;

struct Package {
    name: &'static str,
    path: &'static str,
    notice: &'static str,
    /// Whose rows the copier copies.
    copied: &'static str,
}

const PACKAGES: [Package; 2] = [
    Package {
        name: "openzeppelin-contracts",
        path: "node_modules/@openzeppelin/contracts",
        notice: include_str!("notices/openzeppelin-contracts.txt"),
        copied: "oz-erc20",
    },
    Package {
        name: "solady",
        path: "node_modules/solady/src",
        notice: include_str!("notices/solady.txt"),
        copied: "solady-tokens",
    },
];

/// Builds both Datanets under `work` and returns their directories; `count` gives a text's tokens.
pub(crate) fn build(
    cast: &Cast,
    work: &Path,
    count: &dyn Fn(&str) -> usize,
) -> Result<Vec<PathBuf>> {
    let mut built = Vec::new();
    for (number, package) in PACKAGES.iter().enumerate() {
        let honest = honest(cast, number, package, count)?;
        ensure!(honest.len() == HONEST_ROWS, "{} has {} rows", package.name, honest.len());
        let rows = register(honest, cast, package)?;
        let dir = work.join(package.name);
        let datanet = Datanet::new(package.name, "MIT", rows);
        datanet.save(&dir)?;
        std::fs::write(dir.join("NOTICE"), package.notice)?;
        built.push(dir);
    }
    Ok(built)
}

fn honest(
    cast: &Cast,
    number: usize,
    package: &Package,
    count: &dyn Fn(&str) -> usize,
) -> Result<Vec<Contribution>> {
    let owner = |source: &str| {
        let of = |s: &&crate::accounts::Source| {
            s.datanet == number && s.folders.iter().any(|folder| source.starts_with(folder))
        };
        cast.sources.iter().find(of).map(|s| s.account.address())
    };
    let pieces = cut(Path::new(package.path), MAX_ROW_TOKENS, count)?;
    let owned = pieces.into_iter().filter(|(source, _)| owner(source).is_some()).collect();
    let contribution = |(source, text): (String, String)| {
        let contributor = owner(&source).expect("only owned sources are kept");
        Contribution { contributor, text, source }
    };
    Ok(choose(owned, HONEST_ROWS).into_iter().map(contribution).collect())
}

/// Honest rows first, then the shuffler's and the copier's, so that originals are canonical.
fn register(honest: Vec<Contribution>, cast: &Cast, package: &Package) -> Result<Vec<Row>> {
    let victim = cast.sources.iter().find(|s| s.account.name == package.copied);
    let victim = victim.expect("the copied contributor is in the cast").account.address();
    let step = honest.len() / BAD_ROWS;
    let shuffled = honest.iter().step_by(step).take(BAD_ROWS).enumerate().map(|(seed, row)| {
        let text = shuffle_tokens(&row.text, seed as u64);
        bad(cast.shuffler.address(), text)
    });
    let copied = honest.iter().filter(|row| row.contributor == victim).take(BAD_ROWS);
    let copied = copied.map(|row| bad(cast.copier.address(), row.text.clone()));
    let added: Vec<_> = shuffled.chain(copied).collect();
    let contributions: Vec<_> = honest.into_iter().chain(added).collect();
    let texts: Vec<&str> = contributions.iter().map(|c| c.text.as_str()).collect();
    let clusters: Vec<usize> =
        duplicates::clusters(&texts)?.into_iter().map(|first| first as usize).collect();
    Ok(assemble(contributions, &clusters))
}

fn bad(contributor: Address, text: String) -> Contribution {
    let source = format!("{:.8}.sol", keccak256(&text).to_string());
    Contribution { contributor, text, source }
}
