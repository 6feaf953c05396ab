//! Everything that stands before the first call.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy::primitives::{B256, U256};
use eyre::{Result, ensure};
use inference::tokenizer::Tokenizer;
use node::{catalog::DatanetVersion, chain::Deployment, committer::Kzg, datanet::Datanet};
use prover::{
    Srs,
    argument::VerifierKey,
    evm::{G1, G2},
};

use crate::{
    BASE, CLOCK, PAGE_SIZE, SRS_POWERS, SRS_SEED,
    accounts::Cast,
    calls::Wallet,
    chain::Chain,
    data,
    models::{self, Perplexity},
    setup::{self, OPEN, Reference},
    story::Story,
};

/// Where files are: kept between runs, and this run's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Folders<'a> {
    pub(crate) cache: &'a Path,
    pub(crate) work: &'a Path,
}

/// A Datanet with its directory and what the chain calls it.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) dir: PathBuf,
    pub(crate) datanet: Datanet,
    pub(crate) version: DatanetVersion,
}

/// The chain with all that is registered on it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) chain: Chain,
    pub(crate) deployment_file: PathBuf,
    pub(crate) deployment: Deployment,
    pub(crate) datanets: Vec<Published>,
    pub(crate) models: Vec<(PathBuf, B256)>,
    pub(crate) wallets: Vec<Wallet>,
    pub(crate) perplexity: Perplexity,
}

impl World {
    pub(crate) async fn prepare(
        story: &mut Story,
        cast: &Cast,
        folders: Folders<'_>,
    ) -> Result<Self> {
        story.chapter("A chain: OP Stack genesis, blocks every 2 s, the contracts");
        let chain = Chain::start(&folders.cache.join("genesis-l2.json"), folders.work).await?;
        story.say(format!("L1Block.version() answers {}", chain.op_stack_version().await?));
        chain.fund(cast, U256::from(100 * OPEN)).await?;
        let (deployment_file, deployment) =
            setup::deploy(&chain, cast, CLOCK, &reference(folders.cache)?, folders.work).await?;
        story.say(format!("Settlement at {}", deployment.settlement));

        story.chapter("Two Datanets, from the sources that the set-up installed");
        let datanets = publish(story, &chain, &deployment, cast, folders.work).await?;

        story.chapter("The base model, against a unigram and an untrained model");
        let perplexity = tokio::task::block_in_place(|| models::perplexity(Path::new(BASE)))?;
        story.say(format!(
            "perplexity on held-out Solidity: {:.1}; unigram {:.1}; untrained {:.1}",
            perplexity.trained, perplexity.unigram, perplexity.untrained
        ));
        let better = perplexity.trained < perplexity.unigram / 2.0;
        ensure!(better, "the base model is no better than chance");

        story.chapter("One adapter per Datanet, its influence index, its registration");
        let models = train(story, &chain, &deployment, cast, &datanets, folders).await?;
        setup::register_operator(&chain, &deployment, cast).await?;
        let wallets = setup::open_channels(&chain, &deployment, cast).await?;
        Ok(Self { chain, deployment_file, deployment, datanets, models, wallets, perplexity })
    }
}

async fn publish(
    story: &Story,
    chain: &Chain,
    deployment: &Deployment,
    cast: &Cast,
    work: &Path,
) -> Result<Vec<Published>> {
    let tokenizer = Tokenizer::load(Path::new(BASE))?;
    let count = |text: &str| tokenizer.encode(text).map_or(usize::MAX, |tokens| tokens.len());
    let built = data::build(cast, work, &count)?;
    let earners = setup::register_contributors(chain, deployment, cast).await?;
    let mut published = Vec::new();
    for (dir, owner) in built.into_iter().zip(&cast.builders) {
        let version = setup::publish(chain, deployment, owner, &dir).await?;
        let datanet = Datanet::load(&dir)?;
        story.say(format!(
            "{}: {} rows, root {:.10}…, version {}",
            datanet.manifest.name,
            datanet.rows.len(),
            datanet.manifest.rows_root.to_string(),
            version.version
        ));
        published.push(Published { dir, datanet, version });
    }
    story.say(format!("{earners} contributors; one only shuffles words, one only copies rows"));
    Ok(published)
}

async fn train(
    story: &Story,
    chain: &Chain,
    deployment: &Deployment,
    cast: &Cast,
    datanets: &[Published],
    folders: Folders<'_>,
) -> Result<Vec<(PathBuf, B256)>> {
    let (base, work) = (Path::new(BASE), folders.work);
    let kzg = Kzg::new(Arc::new(powers(folders.cache)?), PAGE_SIZE)?;
    let publisher = setup::index_publisher(chain, deployment, cast, kzg, work).await?;
    let registrar = setup::registrar(chain, deployment, &cast.builders[0]).await?;
    let base_id = registrar.base(base, &models::price("openledger-tiny")).await?.id;
    let mut registered = Vec::new();
    for (published, builder) in datanets.iter().zip(&cast.builders) {
        let name = &published.datanet.manifest.name;
        let dir = work.join(format!("{name}-coder"));
        let tune = || models::fine_tune(base, &published.datanet, &dir);
        let report = tokio::task::block_in_place(tune)?;
        story.say(format!(
            "{name}: held-out loss {:.3} to {:.3} in {:.0} s, {} parameters",
            report.loss_before.unwrap_or_default(),
            report.loss_after.unwrap_or_default(),
            report.seconds,
            report.parameters
        ));
        let registrar = setup::registrar(chain, deployment, builder).await?;
        let earners = setup::earners(chain, deployment, &published.datanet).await?;
        let index = || models::index(story, base, &published.datanet, &earners, &dir);
        tokio::task::block_in_place(index)?;
        let price = models::price(&format!("{name}-coder"));
        let model = registrar.adapter(&dir, base_id, &[published.version], &price).await?;
        let published = registrar.index(&dir, &publisher).await?;
        story.say(format!(
            "{name}: registered as model {:.10}…, its index published under a bond of {} OPEN",
            model.id.to_string(),
            published.bond / U256::from(OPEN)
        ));
        registrar.earning(model.id, |_| ()).await?;
        registered.push((dir, model.id));
    }
    Ok(registered)
}

/// What the contracts need of the powers.
fn reference(cache: &Path) -> Result<Reference> {
    let srs = powers(cache)?;
    let G2 { x1, x0, y1, y0 } = srs.tau_g2_evm();
    let G1 { x, y } = VerifierKey::new(&srs, PAGE_SIZE)?.identity().into();
    Ok(Reference { tau_g2: list(&[x1, x0, y1, y0]), identity: list(&[x, y]) })
}

/// The powers of tau, which are kept where the node will look for them.
fn powers(cache: &Path) -> Result<Srs> {
    let path = cache.join(format!("srs-dev-{SRS_POWERS}.bin"));
    Ok(Srs::dev_cached(&path, 161_201, SRS_SEED.as_bytes(), SRS_POWERS)?)
}

/// Coordinates as the deploy script takes them.
fn list(words: &[[u8; 32]]) -> String {
    words.iter().map(|word| format!("0x{}", hex::encode(word))).collect::<Vec<_>>().join(",")
}
