//! Publishes span indexes, and sets how models divide their contributors' share.

use std::path::Path;

use alloy::primitives::{B256, U256};
use attribution::{
    settle::Mix,
    spans::{
        Check, SpanIndex,
        proof::{LeafOpening, ShardCommitment},
    },
};

use super::register::Registrar;
use crate::{
    Error, Result,
    catalog::{ModelManifest, SPANS_FOLDER},
    chain::bindings::{self, IModelMixes, ISpanIndexes, SpanCommitment},
    worker::blocking,
};

/// A span index on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanPublication {
    /// Its model.
    pub model: B256,
    /// Hash of its commitment.
    pub hash: B256,
    /// From when it pays (seconds), unless a demand puts it off.
    pub accepted_at: u64,
    /// Wei that secure it.
    pub bond: U256,
    /// False if it was published before.
    pub is_new: bool,
}

/// A commitment as contracts have it.
pub fn span_commitment(of: &ShardCommitment) -> SpanCommitment {
    SpanCommitment {
        tokens: of.tokens,
        positions: of.positions,
        rows: of.rows,
        textRoot: of.text_root.into(),
        suffixRoot: of.suffix_root.into(),
        rowRoot: of.row_root.into(),
    }
}

/// A leaf's opening as contracts have it.
pub fn leaf_opening(of: LeafOpening) -> bindings::LeafOpening {
    let siblings = of.siblings.into_iter().map(B256::from).collect();
    bindings::LeafOpening { leaf: of.leaf.into(), siblings }
}

/// The commitment of the span index in a model directory, whose files are all hashed; `None` without
/// one.
///
/// # Errors
/// [`Error::Attribution`] naming the file that is damaged.
pub(super) fn committed(dir: &Path) -> Result<Option<ShardCommitment>> {
    let path = dir.join(SPANS_FOLDER);
    if !path.exists() {
        return Ok(None);
    }
    let failed = |error: attribution::Error| Error::Attribution(error.to_string());
    let index = SpanIndex::open(&path, Check::Everything).map_err(failed)?;
    Ok(index.commit(0).map(|shard| shard.commitment()))
}

impl Registrar {
    /// Publishes the span index of a registered model with its bond, and has `model.json` name it.
    /// One that is published already is not published again.
    ///
    /// # Errors
    /// [`Error::Catalog`] if the directory has no model or span index, or another than is published,
    /// or that was struck; [`Error::Reverted`] if the account does not own the model or has not the
    /// bond; [`Error::Chain`].
    pub async fn spans(&self, dir: &Path) -> Result<SpanPublication> {
        let damaged = |reason: String| Error::Catalog { dir: dir.to_owned(), reason };
        let mut manifest = ModelManifest::load(dir)?;
        let folder = dir.to_owned();
        let commitment = blocking(move || committed(&folder)).await?;
        let commitment = commitment.ok_or_else(|| damaged("it has no span index".into()))?;
        let (model, hash) = (manifest.model_id, B256::new(commitment.hash()));
        let (to, chain) = (self.deployment().span_indexes, self.chain());
        let index_of = ISpanIndexes::indexOfCall { model };
        let known = chain.call(to, &index_of).await?;
        if known.struck {
            return Err(damaged("its span index was struck: register the model anew".into()));
        }
        let is_new = known.acceptedAt == 0;
        if !is_new && known.commitmentHash != hash {
            let found = known.commitmentHash;
            return Err(damaged(format!("span index is {hash}, {found} is published")));
        }
        if manifest.span_hash != Some(hash) {
            manifest.span_hash = Some(hash);
            manifest.save(dir)?;
        }
        if is_new {
            let bond = chain.call(to, &ISpanIndexes::bondCall {}).await?;
            let commitment = span_commitment(&commitment);
            chain.send(to, &ISpanIndexes::publishCall { model, commitment }, bond).await?;
        }
        let known = chain.call(to, &index_of).await?;
        let (accepted_at, bond) = (known.acceptedAt, known.bond);
        Ok(SpanPublication { model, hash, accepted_at, bond, is_new })
    }

    /// Sets a model's mix, unless it is the last one set; true if it was not.
    ///
    /// # Errors
    /// [`Error::Reverted`] if the account does not own the model or it is a base, [`Error::Chain`].
    pub async fn mix(&self, model: B256, mix: Mix) -> Result<bool> {
        let (to, chain) = (self.deployment().model_mixes, self.chain());
        let leading = model.0.first_chunk::<31>().expect("31 of 32 bytes");
        let last = IModelMixes::mixAtCall { model: leading.into(), time: u64::MAX };
        let last = chain.call(to, &last).await?;
        if (last.spansBps, last.citationsBps) == (mix.spans_bps(), mix.citations_bps()) {
            return Ok(false);
        }
        let mix = IModelMixes::Mix { spansBps: mix.spans_bps(), citationsBps: mix.citations_bps() };
        chain.send(to, &IModelMixes::setMixCall { model, mix }, U256::ZERO).await?;
        Ok(true)
    }
}
