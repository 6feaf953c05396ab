//! `openledger datanet`

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use alloy::primitives::Address;
use attribution::estimate::duplicates;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use inference::tokenizer::Tokenizer;
use node::datanet::{Contribution, Datanet, assemble, cut};

#[derive(Debug, Args)]
pub(crate) struct DatanetArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Cut Solidity sources into rows, one per function, and find duplicates.
    Build {
        /// A folder of sources and the account that contributes it: DIR=0xACCOUNT. Earlier folders
        /// are registered first, so a copy counts for whoever comes first.
        #[arg(long, value_name = "DIR=ACCOUNT", required = true)]
        source: Vec<Source>,
        /// Folder that the Datanet is written to.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Name under which it is registered.
        #[arg(long)]
        name: String,
        /// SPDX identifier of the rows' licence.
        #[arg(long, default_value = "MIT")]
        licence: String,
        /// Folder of the base model, whose tokenizer measures rows.
        #[arg(long, value_name = "DIR")]
        base: PathBuf,
        /// Longest row, in tokens.
        #[arg(long, default_value_t = 250)]
        max_tokens: usize,
    },
    /// Check a Datanet folder and show what is in it.
    Show {
        /// Folder of the Datanet.
        dir: PathBuf,
    },
}

#[derive(Clone, Debug)]
struct Source {
    dir: PathBuf,
    contributor: Address,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (dir, account) = text.rsplit_once('=').ok_or("expected DIR=0xACCOUNT")?;
        let contributor = account.parse().map_err(|error| format!("{account}: {error}"))?;
        Ok(Self { dir: dir.into(), contributor })
    }
}

pub(crate) fn run(arguments: DatanetArguments) -> eyre::Result<()> {
    match arguments.action {
        Action::Build { source, out, name, licence, base, max_tokens } => {
            let tokenizer = Tokenizer::load(&base)?;
            let rows = rows(&source, &tokenizer, max_tokens)?;
            let datanet = Datanet::new(&name, &licence, rows);
            datanet.save(&out)?;
            show(&datanet);
        }
        Action::Show { dir } => show(&Datanet::load(&dir)?),
    }
    Ok(())
}

fn rows(
    sources: &[Source],
    tokenizer: &Tokenizer,
    max_tokens: usize,
) -> eyre::Result<Vec<node::datanet::Row>> {
    // A text that cannot be a prompt cannot be a row: it counts as too long.
    let count =
        |text: &str| tokenizer.encode_prompt(text).map_or(usize::MAX, |tokens| tokens.len());
    let mut contributions = Vec::new();
    for Source { dir, contributor } in sources {
        for (source, text) in cut(dir, max_tokens, &count)? {
            contributions.push(Contribution { contributor: *contributor, text, source });
        }
    }
    let texts: Vec<&str> = contributions.iter().map(|c| c.text.as_str()).collect();
    let clusters: Vec<usize> =
        duplicates::clusters(&texts)?.into_iter().map(|cluster| cluster as usize).collect();
    Ok(assemble(contributions, &clusters))
}

fn show(datanet: &Datanet) {
    let manifest = &datanet.manifest;
    let mut accepted: BTreeMap<Address, (usize, usize)> = BTreeMap::new();
    for row in &datanet.rows {
        accepted.entry(row.contributor).or_default().0 += 1;
    }
    for row in datanet.canonical() {
        accepted.entry(row.contributor).or_default().1 += 1;
    }
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(["contributor", "rows", "accepted"]);
    for (contributor, (rows, accepted)) in accepted {
        table.add_row([contributor.to_string(), rows.to_string(), accepted.to_string()]);
    }
    println!("{} ({}), {} rows", manifest.name, manifest.licence, datanet.rows.len());
    println!("root {}", manifest.rows_root);
    if manifest.version > 0 {
        println!("datanet {} version {}", manifest.id, manifest.version);
    }
    println!("{table}");
}
