//! What the registries say about a batch, gathered before it is audited.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use alloy::primitives::{Address, B256};
use attribution::settle::{
    self, Account, BatchHeader, ChannelId, Draw, EarnerIndex, Hash, Info, Mix, ModelId, Price, Row,
    Witness,
    audit::{Audit, Batch, CitedRow, Contributor, Fault, Known, Rules, Sources, SpanCorpus},
};

use super::{
    corpora::{Corpora, Corpus},
    dossier::{Dossier, PostedLedger},
    indexes::{Index, Indexes},
    published::{Place, Rows},
};
use crate::{
    Error, Result,
    chain::{ChainClient, bindings::IPaymentChannels},
    indexer::views::{ChainBatch, Role},
    registry::Registry,
    voucher::{SignedVoucher, digest},
    worker::blocking,
};

/// A batch with everything that its rules need.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) id: B256,
    pub(super) batch: ChainBatch,
    pub(super) dossier: Arc<Dossier>,
    pub(super) previous: Option<PostedLedger>,
    pub(super) indexes: BTreeMap<ModelId, Arc<Index>>,
    /// Published span indexes of the models that credits are for spans of, as far as they are here.
    pub(super) corpora: BTreeMap<ModelId, Arc<Corpus>>,
    /// Rows of the models that credits are for citations of, as far as they are here.
    pub(super) cited: BTreeMap<ModelId, Rows>,
    registry: Registry,
    draws: Vec<Draw>,
    earner_count: u32,
    /// Hashes of the witnesses that the payers of their channels signed.
    signed: BTreeSet<Hash>,
    /// The first failure of the store, since answers to an audit cannot be errors.
    failure: RefCell<Option<Error>>,
}

impl Facts {
    /// Gathers them. An index that cannot be read is an error: credits by it cannot be judged.
    ///
    /// # Errors
    /// [`Error::Availability`], [`Error::Chain`], [`Error::Store`].
    pub(super) async fn gather(
        registry: &Registry,
        client: &ChainClient,
        (indexes, corpora): (&Indexes, Option<&Corpora>),
        id: B256,
        batch: ChainBatch,
        dossier: Arc<Dossier>,
        previous: Option<PostedLedger>,
    ) -> Result<Self> {
        let draw = |d: &crate::chain::bindings::Interval| Draw {
            channel: ChannelId(d.channel.0),
            from: d.from,
            to: d.to,
        };
        let earner_count = u32::try_from(registry.earners()?.len())
            .map_err(|_| Error::Store("more than 2^32 earners".into()))?;
        let mut facts = Self {
            id,
            draws: batch.draws.iter().map(draw).collect(),
            batch,
            dossier,
            previous,
            indexes: BTreeMap::new(),
            corpora: BTreeMap::new(),
            cited: BTreeMap::new(),
            registry: registry.clone(),
            earner_count,
            signed: BTreeSet::new(),
            failure: RefCell::new(None),
        };
        for model in facts.models()? {
            if let Some(index) = indexes.of(model.0.into()).await? {
                facts.indexes.insert(model, index);
            }
        }
        if let Some(corpora) = corpora {
            for model in facts.models_of(|row| matches!(row.info, Info::SpanCredit { .. }))? {
                if let Some(corpus) = corpora.of(model.0.into()).await? {
                    facts.corpora.insert(model, corpus);
                }
            }
        }
        if let Some(corpora) = corpora {
            facts.find_cited(corpora).await?;
        }
        facts.ask_payers(client).await?;
        Ok(facts)
    }

    /// Reads the rows of the models that are paid for citations.
    async fn find_cited(&mut self, corpora: &Corpora) -> Result<()> {
        for model in self.models_of(|row| matches!(row.info, Info::CitationCredit { .. }))? {
            let Some(view) = self.registry.model(model.0.into())? else { continue };
            let corpora = corpora.clone();
            let rows = blocking(move || corpora.rows(&view)).await?;
            self.cited.insert(model, rows);
        }
        Ok(())
    }

    /// Every fault that the audit finds.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(super) fn faults(&self) -> Result<Vec<Fault>> {
        let faults = Audit::new(&self.dossier.ledger.rows, self.of_batch(), self).faults();
        self.failure.take().map_or(Ok(faults), Err)
    }

    pub(super) fn of_batch(&self) -> Batch<'_> {
        let contracts = self.registry.contracts();
        let header = BatchHeader {
            chain_id: contracts.deployment.chain_id,
            settlement: contracts.deployment.settlement.into(),
            operator: self.batch.operator.into(),
            epoch: self.batch.submission.epoch,
        };
        Batch {
            header,
            total: self.batch.submission.total,
            epoch_seconds: contracts.epoch_seconds,
            earner_count: self.earner_count,
            draws: &self.draws,
            layout: self.dossier.layout,
            witnesses: self.dossier.blobs(),
            previous: self.previous.as_ref().map(|previous| &previous.rows),
        }
    }

    /// The witness bytes of a record that are available, by its ordinal.
    pub(super) fn witness(&self, ordinal: usize) -> Option<Vec<u8>> {
        self.dossier.witness(ordinal, |model| self.dim(model))
    }

    /// Models that rows name.
    fn models(&self) -> Result<BTreeSet<ModelId>> {
        self.models_of(|_| true)
    }

    /// Models that some rows name.
    fn models_of(&self, which: impl Fn(&Row) -> bool) -> Result<BTreeSet<ModelId>> {
        let rows = &self.dossier.ledger.rows;
        let some = (0..rows.len()).filter_map(|at| rows.get(at)).filter(|row| which(row));
        let named = some.filter_map(leading_of);
        let leading: BTreeSet<Vec<u8>> = named.collect();
        let mut models = BTreeSet::new();
        for leading in leading {
            models.extend(self.registry.model_beginning(&leading)?.map(|id| ModelId(id.0)));
        }
        Ok(models)
    }

    /// Finds out which witnesses their payers signed; asks the chain about signatures that are not of
    /// the payer's own key (EIP-1271).
    async fn ask_payers(&mut self, client: &ChainClient) -> Result<()> {
        let (registry, dossier) = (self.registry.clone(), Arc::clone(&self.dossier));
        let (signed, others) = blocking(move || signed_by_keys(&registry, &dossier)).await?;
        self.signed = signed;
        let channels = self.registry.contracts().deployment.payment_channels;
        for witness in others {
            let SignedVoucher { voucher, signature } = SignedVoucher::from(&witness);
            let call = IPaymentChannels::isSignedCall { voucher, signature: signature.into() };
            // An unknown channel reverts, and is signed by nobody.
            match client.call(channels, &call).await {
                Ok(true) => drop(self.signed.insert(witness.hash())),
                Ok(false) | Err(Error::Reverted(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn known<T>(&self, read: Result<Option<T>>) -> Option<T> {
        read.unwrap_or_else(|error| {
            self.failure.borrow_mut().get_or_insert(error);
            None
        })
    }
}

impl Sources for Facts {
    fn model(&self, leading: &[u8]) -> Option<ModelId> {
        self.known(self.registry.model_beginning(leading)).map(|id| ModelId(id.0))
    }

    fn price(&self, model: ModelId, version: u32) -> Option<Price> {
        Some((&self.known(self.registry.price_at(model.0.into(), version))?).into())
    }

    fn rules(&self, time: u64) -> Option<Rules> {
        let rules = self.known(self.registry.rules_at(time))?;
        let split = (&rules.split).try_into().ok()?;
        Some(Rules { split, max_credits: rules.maxCredits })
    }

    fn owner(&self, model: ModelId, time: u64) -> EarnerIndex {
        self.known(self.registry.owner_earner_at(model.0.into(), time)).unwrap_or_default()
    }

    fn stakers(&self) -> EarnerIndex {
        let operator: Address = self.batch.operator;
        self.known(self.registry.earner_of(operator, Role::Stakers)).unwrap_or_default()
    }

    fn is_earning(&self, model: ModelId, time: u64) -> bool {
        let Some(view) = self.known(self.registry.model(model.0.into())) else { return false };
        self.known(self.registry.earning_from(&view)).is_some_and(|from| from <= time)
    }

    fn mix(&self, model: ModelId, time: u64) -> Mix {
        self.known(self.registry.mix_at(model.0.into(), time).map(Some)).unwrap_or_default()
    }

    fn spans(&self, model: ModelId, time: u64) -> Known<&dyn SpanCorpus> {
        let Ok(published) = self.registry.span_index(model.0.into()).map_err(|error| {
            self.failure.borrow_mut().get_or_insert(error);
        }) else {
            return Known::Unknown;
        };
        match (published, self.corpora.get(&model)) {
            (Some(published), Some(corpus)) if published.is_paying(time) => {
                Known::Here(&corpus.index)
            }
            (Some(published), None) if published.is_paying(time) => Known::Unknown,
            _ => Known::Absent,
        }
    }

    fn factor(&self, model: ModelId, earner: EarnerIndex, time: u64) -> Option<u16> {
        let share = self.known(self.registry.credit_share_at(model.0.into(), time).map(Some))?;
        let reputation = self.known(self.registry.reputation_at(earner, time).map(Some))?;
        Some(settle::factor(share, reputation))
    }

    fn cited(&self, model: ModelId, datanet: u8, row: u64) -> Known<CitedRow> {
        let Some(rows) = self.cited.get(&model) else { return Known::Unknown };
        if !rows.has(datanet, row) {
            return Known::Absent;
        }
        rows.get(Place::at(datanet, row)).map_or(Known::Unknown, |actual| {
            let earner = rows.earner(actual.contributor).unwrap_or_default();
            let is_canonical = actual.row_hash == actual.cluster_hash;
            Known::Here(CitedRow { earner, is_canonical })
        })
    }

    fn dim(&self, model: ModelId) -> usize {
        self.known(dim(&self.registry, model).map(Some)).unwrap_or_default()
    }

    fn contributors(&self, model: ModelId) -> &[Contributor] {
        self.indexes.get(&model).map_or(&[], |index| &index.contributors)
    }

    fn sums(&self, model: ModelId, ordinal: usize) -> &[i32] {
        self.indexes.get(&model).map_or(&[], |index| index.sums(ordinal))
    }

    fn voucher_digest(&self, witness: &Witness) -> Hash {
        let domain = self.registry.contracts().voucher_domain();
        digest(&SignedVoucher::from(witness).voucher, &domain).0
    }

    fn is_signed(&self, witness: &Witness) -> bool {
        self.signed.contains(&witness.hash())
    }
}

/// The leading bytes of the model id that a row names: 31 of a record, 25 of an account.
fn leading_of(row: &Row) -> Option<Vec<u8>> {
    match (&row.info, row.account) {
        (Info::Record { model, .. }, _) => Some(model.to_vec()),
        (_, Account::Pool(model)) => Some(model.0.to_vec()),
        (_, Account::Balance(balance)) => Some(balance.model.0.to_vec()),
        _ => None,
    }
}

/// Dimension of a model's sketches.
fn dim(registry: &Registry, model: ModelId) -> Result<usize> {
    Ok(registry.index(model.0.into())?.map_or(0, |index| index.dim as usize))
}

/// Hashes of the witnesses that their channels' payers signed with their own keys, and the witnesses
/// that they did not.
fn signed_by_keys(
    registry: &Registry,
    dossier: &Dossier,
) -> Result<(BTreeSet<Hash>, Vec<Witness>)> {
    let domain = registry.contracts().voucher_domain();
    let (mut signed, mut others, mut failure) = (BTreeSet::new(), Vec::new(), None);
    for ordinal in 0..dossier.capacity() {
        let dim = |model| {
            dim(registry, model).unwrap_or_else(|error| {
                failure.get_or_insert(error);
                0
            })
        };
        let bytes = dossier.witness(ordinal, dim);
        let is_used = |bytes: &Vec<u8>| bytes.iter().any(|&byte| byte != 0);
        let Some(Ok(witness)) = bytes.filter(is_used).map(|bytes| Witness::decode(&bytes)) else {
            continue;
        };
        let payer = registry.channel(witness.channel.0.into())?.map(|channel| channel.payer);
        let signer = SignedVoucher::from(&witness).signer(&domain).ok();
        if payer.is_some() && payer == signer {
            signed.insert(witness.hash());
        } else {
            others.push(witness);
        }
    }
    failure.map_or(Ok((signed, others)), Err)
}
