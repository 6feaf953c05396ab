//! Whether a model's influence index is what it is said to be, and what it holds.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use alloy::primitives::{Address, B256};
use attribution::{
    estimate::InfluenceIndex,
    settle::EarnerIndex,
    spans::{Check, SpanIndex},
};
use inference::{
    adapter::Adapter, gradient::row_gradient, model::Decoder, tokenizer::Tokenizer,
    train::TrainableLora,
};
use rand::{SeedableRng, seq::index::sample};
use rand_chacha::ChaCha8Rng;

use super::finding::Report;
use crate::{
    Error, Result,
    catalog::{INDEX_FILE, ModelManifest, SPANS_FOLDER, adapter_hash, file_hash},
    chain::{
        ChainClient, Deployment,
        bindings::{
            IDatanetRegistry, IEarnerRegistry, IInfluenceIndexes, IModelRegistry, Index, Model,
        },
    },
    datanet::Datanet,
    factory::{row_tokens, site_gradients, site_shapes},
    registry::Role,
};

/// Largest adapter read, in bytes.
const MAX_ADAPTER_BYTES: usize = 1 << 30;

/// What an index is held against, beside the manifest in its folder.
#[derive(Debug)]
pub struct IndexCheck<'a> {
    /// The model's folder.
    pub dir: &'a Path,
    /// What the chain says of the model; without it registration stays unchecked.
    pub chain: Option<ChainIndex>,
    /// The Datanet versions of the model, in the order of its registration; none leaves rows
    /// unchecked.
    pub datanets: &'a [Datanet],
    /// Folder of the base model, which shapes and sketches need.
    pub base: Option<&'a Path>,
    /// How many rows' sketches are computed again.
    pub rows: usize,
    /// Which: a seed of the choice.
    pub seed: u64,
    /// Tokens of a row that are used; what the index was built with.
    pub max_tokens: usize,
}

/// What the chain says of a model and its index.
#[derive(Debug)]
pub struct ChainIndex {
    model: Model,
    datanets: Vec<(B256, u32)>,
    /// Roots of its Datanet versions and their rows.
    versions: Vec<(B256, u32)>,
    index: Index,
    earners: BTreeMap<Address, EarnerIndex>,
}

/// What an index holds.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexSummary {
    /// Numbers per sketch, and kept length of a projection's long side.
    pub dim: usize,
    /// See `dim`.
    pub side: usize,
    /// Sites of the adapter.
    pub sites: usize,
    /// Rows.
    pub rows: usize,
    /// Places of rows whose gradient was zero or not finite: nothing is paid for them.
    pub excluded: Vec<usize>,
    /// Earner, rows and accepted rows of each contributor.
    pub contributors: Vec<(u32, usize, u32)>,
    /// Damping, and the public scale of the sketches.
    pub damping: f64,
    /// See `damping`.
    pub scale: f32,
    /// Root of the contributors' tree.
    pub root: B256,
}

impl IndexSummary {
    /// What an index holds.
    #[must_use]
    pub fn of(index: &InfluenceIndex) -> Self {
        let mut rows: HashMap<EarnerIndex, usize> = HashMap::new();
        for row in index.rows() {
            *rows.entry(row.source.earner).or_default() += 1;
        }
        let contributor = |one: &attribution::estimate::Contributor| {
            (one.earner.0, rows.get(&one.earner).copied().unwrap_or(0), one.accepted_rows)
        };
        let config = index.projector().config();
        Self {
            dim: index.dim(),
            side: config.side,
            sites: index.projector().shapes().len(),
            rows: index.rows().len(),
            excluded: silent(index),
            contributors: index.contributors().iter().map(contributor).collect(),
            damping: index.damping(),
            scale: index.scale(),
            root: index.root().into(),
        }
    }
}

/// Places of rows whose sketch is zero.
fn silent(index: &InfluenceIndex) -> Vec<usize> {
    let is_zero = |place: &usize| {
        index.sketch(*place).is_some_and(|sketch| sketch.iter().all(|value| *value == 0))
    };
    (0..index.rows().len()).filter(is_zero).collect()
}

impl ChainIndex {
    /// Asks the chain.
    ///
    /// # Errors
    /// [`Error::Reverted`] if the model is not registered, [`Error::Chain`].
    pub async fn fetch(
        chain: &ChainClient,
        deployment: &Deployment,
        model: B256,
        datanets: &[Datanet],
    ) -> Result<Self> {
        let registry = deployment.model_registry;
        let registered = chain.call(registry, &IModelRegistry::modelOfCall { model }).await?;
        let versions = chain.call(registry, &IModelRegistry::datanetsOfCall { model }).await?;
        let (mut named, mut roots) = (Vec::new(), Vec::new());
        for version in versions {
            let (datanet, version) = (version.datanet, version.version);
            let call = IDatanetRegistry::versionOfCall { datanet, version };
            let published = chain.call(deployment.datanet_registry, &call).await?;
            named.push((datanet, version));
            roots.push((published.rowsRoot, published.rowCount));
        }
        let call = IInfluenceIndexes::indexOfCall { model };
        let index = chain.call(deployment.influence_indexes, &call).await?;
        let rows = datanets.iter().flat_map(|datanet| &datanet.rows);
        let mut earners = BTreeMap::new();
        for account in rows.map(|row| row.contributor).collect::<BTreeSet<_>>() {
            let call = IEarnerRegistry::earnerOfCall { account, role: Role::Contributor as u8 };
            let earner = chain.call(deployment.earner_registry, &call).await?;
            earners.insert(account, EarnerIndex(earner));
        }
        Ok(Self { model: registered, datanets: named, versions: roots, index, earners })
    }
}

/// Checks the files of an index, its content, and what it is held against. What it holds is there if
/// it can be read. `progress` is called after every row whose sketch is computed again.
///
/// Findings: `model.json`, `adapter`, `index.olx` (the file's hash), `index` (its content: checksum,
/// lengths, numbers, order), `contributor sums` (the root that they give), `registration`,
/// `publication`, `span index`, `span rows`, `datanets`, `rows`, `excluded rows`, `shapes`,
/// `sketches`.
///
/// # Errors
/// [`Error::Inference`] if the base model cannot be loaded.
pub fn verify_index(
    check: &IndexCheck<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<(Report, Option<IndexSummary>)> {
    let mut report = Report::default();
    let manifest = match ModelManifest::load(check.dir) {
        Ok(manifest) => Some(manifest),
        Err(error) => {
            report.note("model.json", false, error.to_string());
            None
        }
    };
    let hash = files(check.dir, manifest.as_ref(), &mut report);
    let index = match InfluenceIndex::read(&check.dir.join(INDEX_FILE)) {
        Ok(index) => index,
        Err(error) => {
            report.note("index", false, format!("{INDEX_FILE}: {error}"));
            return Ok((report, None));
        }
    };
    let summary = IndexSummary::of(&index);
    let (rows, dim) = (summary.rows, summary.dim);
    report.note("index", true, format!("{rows} rows of {dim} numbers, checksum and order hold"));
    if let Some(manifest) = &manifest {
        report.compare("contributor sums", &manifest.index_root, &summary.root);
        registration(check.chain.as_ref(), manifest, hash, &index, &mut report);
        spans(check.dir, manifest, &index, &mut report);
    }
    compare_rows(check, &index, &mut report);
    excluded(&index, &summary, &mut report);
    sketches(check, &index, &mut report, progress)?;
    Ok((report, Some(summary)))
}

/// The hashes of the folder's files; returns the index file's.
fn files(dir: &Path, manifest: Option<&ModelManifest>, report: &mut Report) -> Option<B256> {
    let hash = file_hash(&dir.join(INDEX_FILE));
    let adapter = adapter_hash(dir);
    for (what, found, said) in [
        ("adapter", &adapter, manifest.map(|manifest| manifest.adapter_hash)),
        (INDEX_FILE, &hash, manifest.map(|manifest| manifest.index_hash)),
    ] {
        match (found, said) {
            (Err(error), _) => report.note(what, false, error.to_string()),
            (Ok(found), Some(said)) => report.compare(what, &said, found),
            (Ok(found), None) => report.skip(what, format!("hash {found}, no model.json")),
        }
    }
    hash.ok()
}

fn registration(
    chain: Option<&ChainIndex>,
    manifest: &ModelManifest,
    hash: Option<B256>,
    index: &InfluenceIndex,
    report: &mut Report,
) {
    let Some(chain) = chain else {
        report.skip("registration", "the chain was not asked");
        return;
    };
    let hashes = [
        ("adapter", chain.model.contentHash, manifest.adapter_hash),
        ("base", chain.model.base, manifest.base_id),
        ("index root", chain.model.indexRoot, index.root().into()),
        ("index hash", chain.model.indexHash, hash.unwrap_or_default()),
    ];
    let wrong = hashes.iter().find(|(_, registered, found)| registered != found);
    let ours = manifest.datanets.iter().map(|datanet| (datanet.id, datanet.version));
    if let Some((what, registered, found)) = wrong {
        report.note(
            "registration",
            false,
            format!("{what}: registered {registered}, found {found}"),
        );
    } else if !ours.eq(chain.datanets.iter().copied()) {
        report.note("registration", false, "other Datanet versions are registered");
    } else {
        report.note("registration", true, format!("model {}", manifest.model_id));
    }
    publication(chain, index, report);
}

fn publication(chain: &ChainIndex, index: &InfluenceIndex, report: &mut Report) {
    let published = &chain.index;
    if published.acceptedAt == 0 {
        return report.skip("publication", "the index is not published");
    }
    let said = (u64::from(published.dim), u64::from(published.contributors));
    let found = (index.dim() as u64, index.contributors().len() as u64);
    let text = |(dim, contributors): (u64, u64)| {
        format!("{dim} numbers per sketch, {contributors} contributors")
    };
    if published.struck {
        report.note("publication", false, "it was proven wrong and struck");
    } else {
        report.compare("publication", &text(said), &text(found));
    }
}

/// The span index beside the influence index: every byte of it, what stands for it on the chain, and
/// that it is of the same rows.
fn spans(dir: &Path, manifest: &ModelManifest, index: &InfluenceIndex, report: &mut Report) {
    let path = dir.join(SPANS_FOLDER);
    let Some(hash) = manifest.span_hash else {
        if path.is_dir() {
            report.skip("span index", format!("model.json names none, {SPANS_FOLDER} is there"));
        }
        return;
    };
    let spans = match SpanIndex::open(&path, Check::Everything) {
        Ok(spans) => spans,
        Err(error) => return report.note("span index", false, error.to_string()),
    };
    let found = spans.commit(0).map(|shard| B256::from(shard.commitment().hash()));
    report.compare("span index", &hash, &found.unwrap_or_default());
    let known = index.rows().iter().map(|row| row.source);
    let place = (0..).zip(known).find(|(place, source)| spans.row(*place) != Some(*source));
    let rows = (spans.rows() as usize, index.rows().len());
    match place {
        Some((place, _)) => {
            report.note("span rows", false, format!("row {place} is another in the span index"));
        }
        None => report.compare("span rows", &rows.0, &rows.1),
    }
}

/// Rows of the index against those of the Datanets.
fn compare_rows(check: &IndexCheck<'_>, index: &InfluenceIndex, report: &mut Report) {
    if check.datanets.is_empty() {
        return report.skip("rows", "no Datanet folder is given");
    }
    if let Some(chain) = &check.chain {
        let found: Vec<_> = check
            .datanets
            .iter()
            .map(|datanet| (datanet.manifest.rows_root, datanet.rows.len() as u64))
            .collect();
        let said: Vec<_> =
            chain.versions.iter().map(|&(root, rows)| (root, u64::from(rows))).collect();
        let detail = format!("{} versions, with the registered roots", found.len());
        let other = "the folders are not the registered versions, in their order";
        report.note("datanets", found == said, if found == said { &detail } else { other });
    }
    match first_wrong_row(check, index) {
        None => report.note("rows", true, format!("{} rows are the Datanets'", index.rows().len())),
        Some(why) => report.note("rows", false, why),
    }
}

fn first_wrong_row(check: &IndexCheck<'_>, index: &InfluenceIndex) -> Option<String> {
    let rows = (0u8..).zip(check.datanets);
    let rows: Vec<_> = rows
        .flat_map(|(place, datanet)| datanet.rows.iter().map(move |row| (place, row)))
        .collect();
    let mut first: HashMap<B256, u32> = HashMap::new();
    for (place, known) in (0u32..).zip(index.rows()) {
        let Some(&(datanet, row)) = rows.get(place as usize) else {
            return Some(format!("row {place} is in no Datanet"));
        };
        let source = &known.source;
        first.entry(row.row_hash).or_insert(place);
        let earner = check.chain.as_ref().and_then(|chain| chain.earners.get(&row.contributor));
        let facts = [
            ("Datanet", source.datanet == datanet),
            ("index", source.index == row.index),
            ("text", source.hash == row.row_hash.0),
            ("contributor", earner.is_none_or(|&earner| earner == source.earner)),
            ("cluster", first.get(&row.cluster_hash) == Some(&source.cluster)),
        ];
        if let Some((what, _)) = facts.iter().find(|(_, is_same)| !is_same) {
            let name = &check.datanets[usize::from(datanet)].manifest.name;
            return Some(format!("row {place} ({name} {}) has another {what}", row.index));
        }
    }
    let missing = rows.len() - index.rows().len();
    (missing > 0).then(|| format!("the last {missing} rows of the Datanets are not in it"))
}

/// Rows that nothing is paid for, and those that say so wrongly.
fn excluded(index: &InfluenceIndex, summary: &IndexSummary, report: &mut Report) {
    let silent = &summary.excluded;
    let wrong = index.rows().iter().enumerate().find(|(place, row)| {
        // A row of little influence may round to zero; one without any must be zero.
        row.self_influence == 0.0 && silent.binary_search(place).is_err()
    });
    match (wrong, silent.len()) {
        (Some((place, _)), _) => {
            let detail = format!("row {place} has a sketch and no influence on itself");
            report.note("excluded rows", false, detail);
        }
        (None, 0) => report.note("excluded rows", true, "none"),
        (None, count) => {
            let first: Vec<_> = silent.iter().take(8).map(usize::to_string).collect();
            let detail = format!("{count} with a zero sketch: {}", first.join(", "));
            report.note("excluded rows", true, detail);
        }
    }
}

/// Shapes of the adapter's sites, and some rows' sketches.
fn sketches(
    check: &IndexCheck<'_>,
    index: &InfluenceIndex,
    report: &mut Report,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<()> {
    let Some(base) = check.base else {
        report.skip("shapes", "no base model is given");
        return Ok(());
    };
    let decoder = Decoder::load(base)?;
    let lora = match Adapter::load(check.dir, None, decoder.sites(), MAX_ADAPTER_BYTES)
        .and_then(|adapter| TrainableLora::from_weights(&decoder, &adapter.weights()))
    {
        Ok(lora) => lora,
        Err(error) => {
            report.note("shapes", false, error.to_string());
            return Ok(());
        }
    };
    let shapes = site_shapes(&lora)?;
    let is_its = shapes == index.projector().shapes();
    let sites = shapes.len();
    let detail = if is_its {
        format!("{sites} sites, as the adapter has them")
    } else {
        let given = index.projector().shapes().len();
        format!("index of another model: {given} sites of other shapes than the adapter's {sites}")
    };
    report.note("shapes", is_its, detail);
    if !is_its || check.rows == 0 {
        return Ok(());
    }
    if check.datanets.is_empty() {
        report.skip("sketches", "no Datanet folder is given");
        return Ok(());
    }
    if silent(index).len() == index.rows().len() {
        report.skip("sketches", "all are zero: the model does not pay by influence");
        return Ok(());
    }
    recompute(check, index, (&decoder, &lora, &Tokenizer::load(base)?), report, progress)
}

fn recompute(
    check: &IndexCheck<'_>,
    index: &InfluenceIndex,
    (decoder, lora, tokenizer): (&Decoder, &TrainableLora, &Tokenizer),
    report: &mut Report,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<()> {
    let rows: Vec<_> = check.datanets.iter().flat_map(|datanet| &datanet.rows).collect();
    let count = rows.len().min(index.rows().len());
    let wanted = check.rows.min(count);
    let mut chosen = sample(&mut ChaCha8Rng::seed_from_u64(check.seed), count, wanted).into_vec();
    chosen.sort_unstable();
    let max = check.max_tokens.min(decoder.spec().max_positions);
    for (done, &place) in chosen.iter().enumerate() {
        let tokens = row_tokens(tokenizer, &rows[place].text, max)?;
        let gradient = row_gradient(decoder, lora, &tokens, 1)?;
        let found = match index.row_sketch(&site_gradients(&gradient)) {
            Ok(found) => found,
            // Such a row is in the index with a zero sketch.
            Err(attribution::Error::NotFinite(_)) => vec![0; index.dim()],
            Err(error) => return Err(Error::Attribution(error.to_string())),
        };
        let known = index.sketch(place).unwrap_or_default();
        let differ = known.iter().zip(&found).filter(|(a, b)| a != b).count();
        if differ > 0 {
            let all = found.len();
            let detail = format!("row {place}: {differ} of {all} coordinates differ");
            report.note("sketches", false, detail);
            return Ok(());
        }
        progress(done + 1, wanted);
    }
    report.note("sketches", true, format!("{wanted} rows recomputed, seed {}", check.seed));
    Ok(())
}
