//! Puts a report's figures on the chain, with their bond.

use std::path::Path;

use alloy::primitives::{B256, U256};

use super::{Report, refused};
use crate::{
    Result,
    catalog::ModelManifest,
    chain::bindings::{
        IBondedFigures::{self, Figure, Kind},
        IModelRegistry,
    },
    factory::Registrar,
};

/// A report on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedReport {
    /// Its number among all figures.
    pub figure: U256,
    /// Share of positive nets that influence pays, bps.
    pub influence: u16,
    /// From when (seconds); 0 while it is voted on.
    pub in_force_from: u64,
    /// Wei that secure it.
    pub bond: U256,
    /// False if it was posted before.
    pub is_new: bool,
}

impl Registrar {
    /// Posts the report of a registered model with its bond. One that is in force or pending is not
    /// posted again.
    ///
    /// # Errors
    /// [`Error::Catalog`] if the report in `dir` is not of the registered model,
    /// [`Error::Reverted`] if the account has not the bond, another report of the model is pending, or
    /// the account does not own the model and it is the owner's turn or the retrainings are too few;
    /// [`Error::Chain`].
    pub async fn report(&self, dir: &Path) -> Result<PublishedReport> {
        let (manifest, report) = (ModelManifest::load(dir)?, Report::load(dir)?);
        let (model, hash) = (manifest.model_id, report.hash());
        self.check(dir, model, &report).await?;
        let (to, chain) = (self.deployment().bonded_figures, self.chain());
        let bond = chain.call(to, &IBondedFigures::bondCall {}).await?;
        let (figure, known) = self.last_report(model).await?;
        let stands =
            matches!(known.stage, IBondedFigures::Stage::Accepted | IBondedFigures::Stage::Voting);
        if stands && known.hash == hash {
            return Ok(published(figure, &known, bond, false));
        }
        let bps = report.bps;
        let retrainings = u32::try_from(report.protocol.halves)
            .map_err(|_| refused(dir, format!("{} halves", report.protocol.halves)))?;
        let report = IBondedFigures::Report {
            hash,
            ldsLow: bps.lds_low,
            lds: bps.lds,
            ldsHigh: bps.lds_high,
            ceiling: bps.ceiling,
            retrainings,
        };
        chain.send(to, &IBondedFigures::postReportCall { model, report }, bond).await?;
        let (figure, posted) = self.last_report(model).await?;
        Ok(published(figure, &posted, bond, true))
    }

    /// Takes the bond of the model's last report back, once it is in force.
    ///
    /// # Errors
    /// [`Error::Reverted`] if it is not yet, or the bond is not there any more; [`Error::Chain`].
    pub async fn reclaim_report(&self, dir: &Path) -> Result<U256> {
        let (figure, _) = self.last_report(ModelManifest::load(dir)?.model_id).await?;
        let to = self.deployment().bonded_figures;
        let bond = self.chain().call(to, &IBondedFigures::bondCall {}).await?;
        self.chain().send(to, &IBondedFigures::reclaimCall { figure }, U256::ZERO).await?;
        Ok(bond)
    }

    async fn last_report(&self, model: B256) -> Result<(U256, Figure)> {
        let (to, chain) = (self.deployment().bonded_figures, self.chain());
        let kind = Kind::Influence;
        let figure =
            chain.call(to, &IBondedFigures::lastFigureOfCall { kind, subject: model }).await?;
        let known = chain.call(to, &IBondedFigures::figureOfCall { figure }).await?;
        Ok((figure, known))
    }

    /// Adapter and index of the report are those that are registered.
    async fn check(&self, dir: &Path, model: B256, report: &Report) -> Result<()> {
        let call = IModelRegistry::modelOfCall { model };
        let known = self.chain().call(self.deployment().model_registry, &call).await?;
        if report.model.adapter != known.contentHash || report.model.index != known.indexHash {
            let reason = format!("report is of another adapter or index than model {model}");
            return Err(refused(dir, reason));
        }
        Ok(())
    }
}

const fn published(figure: U256, known: &Figure, bond: U256, is_new: bool) -> PublishedReport {
    let (influence, in_force_from) = (known.bps, known.inForceFrom);
    PublishedReport { figure, influence, in_force_from, bond, is_new }
}
