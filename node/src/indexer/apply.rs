//! What each event does to the tables.

use alloy::{
    primitives::{Address, B256, U256},
    rpc::types::Log,
    sol_types::SolEventInterface,
};
use attribution::settle::EarnerIndex;

use super::{overlay::Overlay, views::*};
use crate::{
    Error, Result,
    chain::{
        Deployment,
        bindings::{
            IDatanetRegistry::{self, IDatanetRegistryEvents},
            IEarnerRegistry::{self, IEarnerRegistryEvents},
            IFeeSchedule::{self, IFeeScheduleEvents},
            IModelRegistry::{self, IModelRegistryEvents},
            IPaymentChannels::{self, IPaymentChannelsEvents},
            ISettlement::{self, ISettlementEvents},
            Price,
        },
    },
    registry::{HEAD_KEY, earner_key, name_key, price_key},
    store::{Store, Table, WriteBatch},
};

/// The tables that events write.
const TABLES: [Table; 13] = [
    Table::Earners,
    Table::EarnerIndices,
    Table::Datanets,
    Table::DatanetVersions,
    Table::Models,
    Table::ModelNames,
    Table::Prices,
    Table::Rules,
    Table::ChainChannels,
    Table::ChainBatches,
    Table::Earnings,
    Table::Claimed,
    Table::Blocks,
];

/// The contracts whose events are indexed.
pub(super) fn sources(deployment: &Deployment) -> Vec<Address> {
    vec![
        deployment.earner_registry,
        deployment.datanet_registry,
        deployment.model_registry,
        deployment.fee_schedule,
        deployment.payment_channels,
        deployment.settlement,
    ]
}

/// Removes everything that was indexed.
pub(super) fn clear(store: &dyn Store) -> Result<WriteBatch> {
    let mut batch = WriteBatch::default();
    for table in TABLES {
        for (key, _) in store.scan(table, &[], &[], usize::MAX)? {
            batch.delete(table, key);
        }
    }
    batch.delete(Table::Meta, HEAD_KEY);
    Ok(batch)
}

/// Applies one event; events that no table is about are passed over.
pub(super) fn event(tables: &mut Overlay<'_>, deployment: &Deployment, log: &Log) -> Result<()> {
    let source = log.address();
    if source == deployment.payment_channels {
        decoded(log, IPaymentChannelsEvents::SELECTORS)?.map_or(Ok(()), |e| channels(tables, e))
    } else if source == deployment.settlement {
        decoded(log, ISettlementEvents::SELECTORS)?.map_or(Ok(()), |e| settlement(tables, e))
    } else if source == deployment.model_registry {
        decoded(log, IModelRegistryEvents::SELECTORS)?.map_or(Ok(()), |e| models(tables, e))
    } else if source == deployment.datanet_registry {
        decoded(log, IDatanetRegistryEvents::SELECTORS)?.map_or(Ok(()), |e| datanets(tables, e))
    } else if source == deployment.earner_registry {
        decoded(log, IEarnerRegistryEvents::SELECTORS)?.map_or(Ok(()), |e| earners(tables, e))
    } else if source == deployment.fee_schedule {
        decoded(log, IFeeScheduleEvents::SELECTORS)?.map_or(Ok(()), |e| rules(tables, e))
    } else {
        Ok(())
    }
}

fn decoded<E: SolEventInterface>(log: &Log, selectors: &[[u8; 32]]) -> Result<Option<E>> {
    if !log.topic0().is_some_and(|topic| selectors.contains(&topic.0)) {
        return Ok(None);
    }
    let event = E::decode_raw_log(log.topics(), &log.data().data)
        .map_err(|e| Error::Chain(format!("event of {}: {e}", log.address())))?;
    Ok(Some(event))
}

fn channels(tables: &mut Overlay<'_>, event: IPaymentChannelsEvents) -> Result<()> {
    use IPaymentChannels::{ChannelOpened, Deposited, Drawn, WithdrawalRequested, Withdrawn};
    type Event = IPaymentChannelsEvents;
    match event {
        Event::ChannelOpened(ChannelOpened { channel, payer, operator, deposit }) => {
            let view = ChannelView { payer, operator, deposit, drawn: 0, withdrawal: U256::ZERO };
            tables.put(Table::ChainChannels, channel.as_slice(), &view)
        }
        Event::Deposited(Deposited { channel, deposit, .. }) => {
            change_channel(tables, channel, |view| view.deposit = deposit)
        }
        Event::Drawn(Drawn { channel, drawn, .. }) => {
            change_channel(tables, channel, |view| view.drawn = drawn)
        }
        Event::WithdrawalRequested(WithdrawalRequested { channel, amount, .. }) => {
            change_channel(tables, channel, |view| view.withdrawal = amount)
        }
        Event::Withdrawn(Withdrawn { channel, amount }) => {
            change_channel(tables, channel, |view| {
                view.deposit = view.deposit.saturating_sub(amount);
                view.withdrawal = U256::ZERO;
            })
        }
    }
}

fn change_channel(
    tables: &mut Overlay<'_>,
    channel: B256,
    change: impl FnOnce(&mut ChannelView),
) -> Result<()> {
    let mut view: ChannelView = existing(tables, Table::ChainChannels, channel.as_slice())?;
    change(&mut view);
    tables.put(Table::ChainChannels, channel.as_slice(), &view)
}

fn settlement(tables: &mut Overlay<'_>, event: ISettlementEvents) -> Result<()> {
    use ISettlement::{BatchFinal, BatchPosted, Claimed, EarningsUpdated};
    match event {
        ISettlementEvents::BatchPosted(BatchPosted { batch, operator, epoch, submission }) => {
            let view = ChainBatch {
                operator,
                epoch,
                total: submission.total,
                rows: submission.rows,
                ledger: submission.ledger,
                certificate: submission.certificate.to_vec(),
                pages: submission.pages,
                is_final: false,
            };
            tables.put(Table::ChainBatches, batch.as_slice(), &view)
        }
        ISettlementEvents::BatchFinal(BatchFinal { batch, .. }) => {
            let mut view: ChainBatch = existing(tables, Table::ChainBatches, batch.as_slice())?;
            view.is_final = true;
            tables.put(Table::ChainBatches, batch.as_slice(), &view)
        }
        ISettlementEvents::EarningsUpdated(EarningsUpdated {
            page,
            version,
            commitment,
            batch,
        }) => {
            let key = [&page.to_be_bytes()[..], &version.to_be_bytes()].concat();
            tables.put(Table::Earnings, &key, &EarningsView { commitment, batch })
        }
        ISettlementEvents::Claimed(Claimed { earner, cumulativeEarnings, .. }) => {
            tables.put(Table::Claimed, &earner.to_be_bytes(), &cumulativeEarnings)
        }
    }
}

fn models(tables: &mut Overlay<'_>, event: IModelRegistryEvents) -> Result<()> {
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
        IModelRegistryEvents::Transfer(Transfer { to, tokenId, .. }) => {
            change_model(tables, B256::from(tokenId), |view| view.owner = to)
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

fn datanets(tables: &mut Overlay<'_>, event: IDatanetRegistryEvents) -> Result<()> {
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

fn earners(tables: &mut Overlay<'_>, event: IEarnerRegistryEvents) -> Result<()> {
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

fn rules(tables: &mut Overlay<'_>, event: IFeeScheduleEvents) -> Result<()> {
    let IFeeScheduleEvents::RulesScheduled(IFeeSchedule::RulesScheduled { activation, rules }) =
        event;
    let key = activation.to_be_bytes();
    // New rules void all that were scheduled for their activation or later.
    tables.delete_from(Table::Rules, &key)?;
    tables.put(Table::Rules, &key, &RulesView { rules })
}

fn existing<T: borsh::BorshDeserialize>(
    tables: &Overlay<'_>,
    table: Table,
    key: &[u8],
) -> Result<T> {
    tables.get(table, key)?.ok_or_else(|| {
        let id = alloy::hex::encode_prefixed(key);
        Error::Chain(format!("event about an unknown row {id} of {}", table.name()))
    })
}
