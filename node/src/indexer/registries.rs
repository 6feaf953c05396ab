//! What events of the registries of models, Datanets, earners and fees do to the tables.

use alloy::primitives::{Address, B256};
use attribution::settle::{EarnerIndex, Mix};

use super::{apply::existing, overlay::Overlay, views::*};
use crate::{
    Error, Result,
    chain::bindings::{
        IDatanetRegistry::{self, IDatanetRegistryEvents},
        IEarnerRegistry::{self, IEarnerRegistryEvents},
        IFeeSchedule::{self, IFeeScheduleEvents},
        IModelMixes::{self, IModelMixesEvents},
        IModelRegistry::{self, IModelRegistryEvents},
        Price,
    },
    registry::{earner_key, name_key, owner_key, price_key},
    store::Table,
};

/// Seconds between the transfer of a model's token and the first call that pays the new owner, as
/// ModelRegistry's `OWNER_NOTICE`.
const OWNER_NOTICE: u64 = 3_600;

pub(super) fn models(
    tables: &mut Overlay<'_>,
    event: IModelRegistryEvents,
    time: u64,
) -> Result<()> {
    use IModelRegistry::{IndexRegistered, ModelRegistered, PriceSet, Transfer};
    match event {
        IModelRegistryEvents::ModelRegistered(ModelRegistered {
            model,
            base,
            owner,
            contentHash,
            name,
        }) => {
            let key = [name_key(&name), model.to_vec()].concat();
            tables.put(Table::ModelNames, &key, &())?;
            change_model(tables, model, |view| {
                view.base = base;
                view.owner = owner;
                view.content_hash = contentHash;
                view.name = name;
            })
        }
        IModelRegistryEvents::IndexRegistered(IndexRegistered {
            model,
            indexRoot,
            indexHash,
            datanets,
        }) => change_model(tables, model, |view| {
            view.index_root = indexRoot;
            view.index_hash = indexHash;
            let versions = datanets.into_iter();
            view.datanets =
                versions.map(|d| DatanetRef { id: d.datanet, version: d.version }).collect();
        }),
        IModelRegistryEvents::PriceSet(PriceSet { model, priceVersion, price }) => {
            let row = PriceView { price: price.clone() };
            tables.put(Table::Prices, &price_key(model, priceVersion), &row)?;
            change_model(tables, model, |view| {
                view.price_version = priceVersion;
                view.price = price;
            })
        }
        IModelRegistryEvents::Transfer(Transfer { from, to, tokenId }) => {
            let model = B256::from(tokenId);
            let activation = if from.is_zero() { 0 } else { time.saturating_add(OWNER_NOTICE) };
            let earner: EarnerIndex =
                existing(tables, Table::EarnerIndices, &earner_key(to, Role::ModelOwner))?;
            tables.put(Table::ModelOwners, &owner_key(model, activation), &earner)?;
            change_model(tables, model, |view| view.owner = to)
        }
    }
}

/// A registration is several events, in an order that is the contract's business, so the first of
/// them makes the row.
fn change_model(
    tables: &mut Overlay<'_>,
    id: B256,
    change: impl FnOnce(&mut ModelView),
) -> Result<()> {
    let mut view = tables.get(Table::Models, id.as_slice())?.unwrap_or_else(|| ModelView {
        id,
        base: B256::ZERO,
        content_hash: B256::ZERO,
        index_root: B256::ZERO,
        index_hash: B256::ZERO,
        name: String::new(),
        owner: Address::ZERO,
        price_version: 0,
        price: Price { inputRate: 0, outputRate: 0, platformFee: 0 },
        datanets: Vec::new(),
    });
    change(&mut view);
    tables.put(Table::Models, id.as_slice(), &view)
}

pub(super) fn mixes(tables: &mut Overlay<'_>, event: IModelMixesEvents) -> Result<()> {
    let IModelMixesEvents::MixSet(IModelMixes::MixSet { model, spansBps, citationsBps, time }) =
        event;
    let mix = Mix::new(spansBps, citationsBps)?;
    tables.put(Table::ModelMixes, &owner_key(model, time), &mix)
}

pub(super) fn datanets(tables: &mut Overlay<'_>, event: IDatanetRegistryEvents) -> Result<()> {
    use IDatanetRegistry::{DatanetCreated, VersionPublished};
    match event {
        IDatanetRegistryEvents::DatanetCreated(DatanetCreated {
            datanet,
            owner,
            name,
            licence,
            ..
        }) => {
            let view = DatanetView { owner, name, licence, versions: 0 };
            tables.put(Table::Datanets, datanet.as_slice(), &view)
        }
        IDatanetRegistryEvents::VersionPublished(VersionPublished {
            datanet,
            version,
            rowsRoot,
            rowCount,
        }) => {
            let mut view: DatanetView = existing(tables, Table::Datanets, datanet.as_slice())?;
            view.versions = version;
            tables.put(Table::Datanets, datanet.as_slice(), &view)?;
            let row = VersionView { rows_root: rowsRoot, row_count: rowCount };
            tables.put(Table::DatanetVersions, &price_key(datanet, version), &row)
        }
    }
}

pub(super) fn earners(tables: &mut Overlay<'_>, event: IEarnerRegistryEvents) -> Result<()> {
    let IEarnerRegistryEvents::EarnerRegistered(IEarnerRegistry::EarnerRegistered {
        earner,
        account,
        role,
    }) = event;
    let Some(role) = Role::from_number(role) else {
        return Err(Error::Chain(format!("earner {earner} has role {role}")));
    };
    let earner = EarnerIndex(earner);
    tables.put(Table::EarnerIndices, &earner_key(account, role), &earner)?;
    tables.put(Table::Earners, &earner.0.to_be_bytes(), &EarnerView { earner, account, role })
}

pub(super) fn rules(tables: &mut Overlay<'_>, event: IFeeScheduleEvents) -> Result<()> {
    let IFeeScheduleEvents::RulesScheduled(IFeeSchedule::RulesScheduled { activation, rules }) =
        event;
    let key = activation.to_be_bytes();
    // New rules void all that were scheduled for their activation or later.
    tables.delete_from(Table::Rules, &key)?;
    tables.put(Table::Rules, &key, &RulesView { rules })
}
