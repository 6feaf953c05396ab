//! `openledger register`

use std::path::{Path, PathBuf};

use alloy::primitives::B256;
use clap::{Args, Subcommand};
use node::{
    catalog::DatanetVersion,
    config::Config,
    datanet::Datanet,
    factory::{
        IndexPublication, IndexPublisher, RegisterSettings, Registered, Registrar, SpanPublication,
    },
    registry::{Mix, Role},
};

use super::{ChainArguments, KeyArguments, progress::bar};

#[derive(Debug, Args)]
pub(crate) struct RegisterArguments {
    #[command(flatten)]
    chain: ChainArguments,
    #[command(flatten)]
    key: KeyArguments,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Register the account as a contributor, so that it can be paid.
    Contributor,
    /// Publish the rows of a Datanet folder as its next version.
    Datanet {
        /// Folder of the Datanet; its id and version are written into it.
        dir: PathBuf,
    },
    /// Register a base model.
    Base {
        /// Folder of the model.
        dir: PathBuf,
        #[command(flatten)]
        price: PriceArguments,
    },
    /// Register an adapter with its influence index, and publish the index.
    Model {
        /// Folder of the adapter and its index; model.json is written into it.
        dir: PathBuf,
        /// Id of the base model.
        #[arg(long, value_name = "ID")]
        base: B256,
        /// Folders of the published Datanets that it was trained on.
        #[arg(long, value_name = "DIR", required = true)]
        datanet: Vec<PathBuf>,
        /// Configuration of the node through whose data availability the index is published with
        /// its bond. Without it the index is not published yet.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        mix: MixArguments,
        /// Publish the span index with its bond, also if the mix gives nothing for spans.
        #[arg(long)]
        spans: bool,
        #[command(flatten)]
        price: PriceArguments,
    },
    /// Publish the span index of a registered model with its bond.
    Spans {
        /// Folder of the model, with its model.json, which will name the index.
        dir: PathBuf,
    },
    /// Set what of the contributors' share of a registered model is paid for spans and citations, an
    /// hour from now on.
    Mix {
        /// Id of the model.
        #[arg(value_name = "ID")]
        model: B256,
        #[command(flatten)]
        mix: MixArguments,
    },
    /// Publish the influence index of a registered model with its bond.
    Index {
        /// Folder of the model, with its model.json.
        dir: PathBuf,
        /// Configuration of the node through whose data availability it is published.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Wait until the model may earn.
        #[arg(long)]
        wait: bool,
    },
}

#[derive(Debug, Args)]
struct PriceArguments {
    /// Name of the model.
    #[arg(long)]
    name: String,
    /// Gwei of OPEN per 1000 prompt tokens.
    #[arg(long, value_name = "GWEI", default_value_t = 1_000_000)]
    input_rate: u64,
    /// Gwei of OPEN per 1000 generated tokens.
    #[arg(long, value_name = "GWEI", default_value_t = 4_000_000)]
    output_rate: u64,
    /// Gwei of OPEN per call.
    #[arg(long, value_name = "GWEI", default_value_t = 10_000)]
    platform_fee: u64,
}

#[derive(Clone, Copy, Debug, Args)]
struct MixArguments {
    /// Basis points of the contributors' share for spans that rows hold word for word.
    #[arg(long, value_name = "BPS", default_value_t = 0)]
    spans_bps: u16,
    /// Basis points of it for rows that answers cite. Influence has the rest.
    #[arg(long, value_name = "BPS", default_value_t = 0)]
    citations_bps: u16,
}

impl From<PriceArguments> for RegisterSettings {
    fn from(price: PriceArguments) -> Self {
        let PriceArguments { name, input_rate, output_rate, platform_fee } = price;
        Self { name, input_rate, output_rate, platform_fee }
    }
}

pub(crate) async fn run(arguments: RegisterArguments) -> eyre::Result<()> {
    let RegisterArguments { chain, key, what } = arguments;
    let registrar = Registrar::connect(&chain.rpc, chain.deployment()?, key.signer()?).await?;
    match what {
        What::Contributor => {
            let earner = registrar.earner(Role::Contributor).await?;
            println!("contributor {} is earner {earner}", registrar.account());
        }
        What::Datanet { dir } => {
            let DatanetVersion { id, version } = registrar.datanet(&dir).await?;
            println!("datanet {id} version {version}");
        }
        What::Base { dir, price } => show(registrar.base(&dir, &price.into()).await?),
        What::Model { dir, base, datanet, config, mix: parts, spans, price } => {
            // Before anything is sent.
            let mix = Mix::new(parts.spans_bps, parts.citations_bps)?;
            let mut versions = Vec::new();
            for path in datanet {
                let manifest = Datanet::load(&path)?.manifest;
                eyre::ensure!(manifest.version > 0, "{} is not published", path.display());
                versions.push(DatanetVersion { id: manifest.id, version: manifest.version });
            }
            let registered = registrar.adapter(&dir, base, &versions, &price.into()).await?;
            show(registered);
            if mix != Mix::default() {
                set_mix(&registrar, registered.id, mix).await?;
            }
            if spans || mix.spans_bps() > 0 {
                publish_spans(&registrar, &dir).await?;
            }
            if let Some(config) = config {
                publish(&registrar, &dir, &config).await?;
            }
        }
        What::Spans { dir } => publish_spans(&registrar, &dir).await?,
        What::Mix { model, mix } => {
            let mix = Mix::new(mix.spans_bps, mix.citations_bps)?;
            set_mix(&registrar, model, mix).await?;
        }
        What::Index { dir, config, wait } => {
            let published = publish(&registrar, &dir, &config).await?;
            if wait {
                let bar = bar(0, "window");
                registrar
                    .earning(published.model, |left| bar.set_message(format!("{left} s left")))
                    .await?;
                bar.finish_and_clear();
                println!("model {} may earn", published.model);
            }
        }
    }
    Ok(())
}

async fn publish(
    registrar: &Registrar,
    dir: &Path,
    config: &Path,
) -> eyre::Result<IndexPublication> {
    let config = Config::load(config)?;
    let publisher = IndexPublisher::open(&config, &registrar.contracts().await?).await?;
    let published = registrar.index(dir, &publisher).await?;
    let IndexPublication { accepted_at, bond, is_new, .. } = published;
    let before = if is_new { "" } else { " (published before)" };
    println!("index published{before}: bond {bond} wei; earns from {accepted_at} unless disputed");
    Ok(published)
}

async fn publish_spans(registrar: &Registrar, dir: &Path) -> eyre::Result<()> {
    let SpanPublication { hash, accepted_at, bond, is_new, .. } = registrar.spans(dir).await?;
    let before = if is_new { "" } else { " (published before)" };
    println!(
        "span index {hash} published{before}: bond {bond} wei; pays from {accepted_at} unless disputed"
    );
    Ok(())
}

async fn set_mix(registrar: &Registrar, model: B256, mix: Mix) -> eyre::Result<()> {
    let set = registrar.mix(model, mix).await?;
    let how = if set { "an hour from now" } else { "as set before" };
    println!("{} bps for spans, {} bps for citations, {how}", mix.spans_bps(), mix.citations_bps());
    Ok(())
}

fn show(registered: Registered) {
    let Registered { id, is_new } = registered;
    println!("model {id}{}", if is_new { "" } else { " (registered before)" });
}
