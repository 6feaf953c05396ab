//! Models: their prices, owners and mixes, and the rules of calls.

use alloy::primitives::B256;

use super::{
    EarnerIndex, Mix, ModelView, PriceView, Registry, RulesView,
    keys::{hash_in, name_key, owner_key, price_key},
};
use crate::{
    Result,
    chain::bindings::{Price, Rules},
    store::{Table, get_row, rows},
};

/// All fail with [`crate::Error::Store`], if the store cannot be read.
impl Registry {
    /// Id of the registered model whose id begins with these bytes, 25 or more of them.
    pub fn model_beginning(&self, leading: &[u8]) -> Result<Option<B256>> {
        let found = self.store.scan(Table::Models, leading, leading, 1)?;
        found.first().map(|(key, _)| hash_in(Table::Models, key)).transpose()
    }

    /// A model by its id.
    pub fn model(&self, id: B256) -> Result<Option<ModelView>> {
        get_row(&*self.store, Table::Models, id.as_slice())
    }

    /// The model with a name, `None` if there is none or more than one: names are not unique on
    /// chain, and answering with somebody else's model would be worse than none.
    pub fn model_by_name(&self, name: &str) -> Result<Option<ModelView>> {
        let prefix = name_key(name);
        let found = self.store.scan(Table::ModelNames, &prefix, &prefix, 2)?;
        match found.as_slice() {
            [(key, _)] => self.model(hash_in(Table::ModelNames, &key[32..])?),
            _ => Ok(None),
        }
    }

    /// All models, by id.
    pub fn models(&self) -> Result<Vec<ModelView>> {
        Ok(rows(&*self.store, Table::Models, &[])?.into_iter().map(|(_, model)| model).collect())
    }

    /// A price that a model has or had.
    pub fn price_at(&self, model: B256, version: u32) -> Result<Option<Price>> {
        let row: Option<PriceView> =
            get_row(&*self.store, Table::Prices, &price_key(model, version))?;
        Ok(row.map(|row| row.price))
    }

    /// The index that the model share of a call signed at `time` (seconds) goes to; `None` for an
    /// unknown model.
    pub fn owner_earner_at(&self, model: B256, time: u64) -> Result<Option<EarnerIndex>> {
        let owners: Vec<(Vec<u8>, EarnerIndex)> =
            rows(&*self.store, Table::ModelOwners, model.as_slice())?;
        let last = owner_key(model, time);
        let before = |(key, _): &&(Vec<u8>, EarnerIndex)| *key <= last;
        Ok(owners.iter().rfind(before).map(|&(_, earner)| earner))
    }

    /// How the model divides its contributors' share of calls signed at `time` (seconds).
    pub fn mix_at(&self, model: B256, time: u64) -> Result<Mix> {
        let mixes: Vec<(Vec<u8>, Mix)> = rows(&*self.store, Table::ModelMixes, model.as_slice())?;
        let last = owner_key(model, time);
        let before = |(key, _): &&(Vec<u8>, Mix)| *key <= last;
        Ok(mixes.iter().rfind(before).map(|&(_, mix)| mix).unwrap_or_default())
    }

    /// The rules for a call signed at `time` (seconds), `None` before the first.
    pub fn rules_at(&self, time: u64) -> Result<Option<Rules>> {
        let rules: Vec<(Vec<u8>, RulesView)> = rows(&*self.store, Table::Rules, &[])?;
        let before = |(key, _): &&(Vec<u8>, RulesView)| key.as_slice() <= &time.to_be_bytes()[..];
        Ok(rules.iter().rfind(before).map(|(_, view)| view.rules.clone()))
    }
}
