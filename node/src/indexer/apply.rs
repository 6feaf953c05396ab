//! What each event does to the tables.

use alloy::{
    primitives::{Address, B256, U256},
    rpc::types::Log,
    sol_types::{SolEvent, SolEventInterface},
};
use attribution::settle::{EarnerIndex, Mix};

use super::{figures, overlay::Overlay, views::*};
use crate::{
    Error, Result,
    chain::{
        Deployment,
        bindings::{
            IBondedFigures::IBondedFiguresEvents,
            IDatanetRegistry::{self, IDatanetRegistryEvents},
            IDisputes::{self, IDisputesEvents},
            IEarnerRegistry::{self, IEarnerRegistryEvents},
            IEarningsArchive::{self, IEarningsArchiveEvents},
            IFeeSchedule::{self, IFeeScheduleEvents},
            IInfluenceIndexes::{self, IInfluenceIndexesEvents},
            IModelMixes::{self, IModelMixesEvents},
            IModelRegistry::{self, IModelRegistryEvents},
            IPaymentChannels::{self, IPaymentChannelsEvents},
            ISettlement::{self, ISettlementEvents},
            ISpanIndexes::{self, ISpanIndexesEvents},
            Price,
        },
    },
    registry::{
        HEAD_KEY, earner_key, index_order_key, name_key, operator_batch_key, owner_key, price_key,
    },
    store::{Store, Table, WriteBatch},
};

/// The tables that events write.
const TABLES: [Table; 27] = [
    Table::Earners,
    Table::EarnerIndices,
    Table::Datanets,
    Table::DatanetVersions,
    Table::Models,
    Table::Indexes,
    Table::IndexOrder,
    Table::SpanIndexes,
    Table::SpanIndexOrder,
    Table::ModelNames,
    Table::Prices,
    Table::ModelMixes,
    Table::Rules,
    Table::ChainChannels,
    Table::ChainBatches,
    Table::Earnings,
    Table::Claimed,
    Table::Blocks,
    Table::ModelOwners,
    Table::OperatorBatches,
    Table::Strikes,
    Table::Archives,
    Table::Refundable,
    Table::Figures,
    Table::FiguresInForce,
    Table::DefaultInfluence,
    Table::FigureVotes,
];

/// Seconds between the transfer of a model's token and the first call that pays the new owner, as
/// ModelRegistry's `OWNER_NOTICE`.
const OWNER_NOTICE: u64 = 3_600;

/// The contracts whose events are indexed.
pub(super) fn sources(deployment: &Deployment) -> Vec<Address> {
    vec![
        deployment.earner_registry,
        deployment.datanet_registry,
        deployment.model_registry,
        deployment.model_mixes,
        deployment.influence_indexes,
        deployment.span_indexes,
        deployment.bonded_figures,
        deployment.fee_schedule,
        deployment.payment_channels,
        deployment.settlement,
        deployment.disputes,
        deployment.earnings_archive,
    ]
}

/// Whether what an event does depends on the time of its block.
pub(super) fn needs_time(deployment: &Deployment, log: &Log) -> bool {
    log.address() == deployment.model_registry
        && log.topic0() == Some(&IModelRegistry::Transfer::SIGNATURE_HASH)
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

/// Applies one event; events that no table is about are passed over. `time` is its block's
/// (seconds); it is only read for events that [`needs_time`] names.
pub(super) fn event(
    tables: &mut Overlay<'_>,
    deployment: &Deployment,
    log: &Log,
    time: u64,
) -> Result<()> {
    let source = log.address();
    if source == deployment.payment_channels {
        decoded(log, IPaymentChannelsEvents::SELECTORS)?.map_or(Ok(()), |e| channels(tables, e))
    } else if source == deployment.settlement {
        decoded(log, ISettlementEvents::SELECTORS)?.map_or(Ok(()), |e| settlement(tables, e))
    } else if source == deployment.model_registry {
        decoded(log, IModelRegistryEvents::SELECTORS)?.map_or(Ok(()), |e| models(tables, e, time))
    } else if source == deployment.model_mixes {
        decoded(log, IModelMixesEvents::SELECTORS)?.map_or(Ok(()), |e| mixes(tables, e))
    } else if source == deployment.influence_indexes {
        decoded(log, IInfluenceIndexesEvents::SELECTORS)?.map_or(Ok(()), |e| {
            let block = log.block_number.unwrap_or_default();
            indexes(tables, e, block)
        })
    } else if source == deployment.span_indexes {
        decoded(log, ISpanIndexesEvents::SELECTORS)?.map_or(Ok(()), |e| {
            let block = log.block_number.unwrap_or_default();
            span_indexes(tables, e, block)
        })
    } else if source == deployment.bonded_figures {
        decoded(log, IBondedFiguresEvents::SELECTORS)?.map_or(Ok(()), |e| figures::event(tables, e))
    } else if source == deployment.datanet_registry {
        decoded(log, IDatanetRegistryEvents::SELECTORS)?.map_or(Ok(()), |e| datanets(tables, e))
    } else if source == deployment.earner_registry {
        decoded(log, IEarnerRegistryEvents::SELECTORS)?.map_or(Ok(()), |e| earners(tables, e))
    } else if source == deployment.fee_schedule {
        decoded(log, IFeeScheduleEvents::SELECTORS)?.map_or(Ok(()), |e| rules(tables, e))
    } else if source == deployment.disputes {
        decoded(log, IDisputesEvents::SELECTORS)?.map_or(Ok(()), |e| disputes(tables, e))
    } else if source == deployment.earnings_archive {
        decoded(log, IEarningsArchiveEvents::SELECTORS)?.map_or(Ok(()), |e| archives(tables, e))
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
    use IPaymentChannels::{
        ChannelOpened, Deposited, Drawn, Refunded, WithdrawalRequested, Withdrawn,
    };
    type Event = IPaymentChannelsEvents;
    match event {
        Event::ChannelOpened(ChannelOpened { channel, payer, operator, deposit }) => {
            let view = ChannelView { payer, operator, deposit, drawn: 0, withdrawal: U256::ZERO };
            tables.put(Table::ChainChannels, channel.as_slice(), &view)
        }
        Event::Deposited(Deposited { channel, deposit, .. }) => {
            change_channel(tables, channel, |view| view.deposit = deposit)
        }
        Event::Refunded(Refunded { channel, deposit, .. }) => {
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
    use ISettlement::{
        BatchFinal, BatchHoldsChanged, BatchPosted, BatchRefunded, BatchStruck, Claimed,
        EarningsUpdated,
    };
    match event {
        ISettlementEvents::BatchPosted(BatchPosted {
            batch,
            operator,
            epoch,
            submission,
            draws,
        }) => {
            let status = BatchStatus::Posted;
            let view = ChainBatch {
                operator,
                epoch,
                submission,
                draws,
                status,
                holds: 0,
                refunded: false,
            };
            tables.put(Table::OperatorBatches, &operator_batch_key(operator, epoch), &batch.0)?;
            tables.put(Table::ChainBatches, batch.as_slice(), &view)
        }
        ISettlementEvents::BatchFinal(BatchFinal { batch, .. }) => {
            change_batch(tables, batch, |view| view.status = BatchStatus::Final).map(drop)
        }
        ISettlementEvents::BatchStruck(BatchStruck { batch, .. }) => {
            let key = change_batch(tables, batch, |view| view.status = BatchStatus::Struck)?;
            tables.put(Table::Refundable, &key, &batch.0)
        }
        ISettlementEvents::BatchRefunded(BatchRefunded { batch, .. }) => {
            let key = change_batch(tables, batch, |view| view.refunded = true)?;
            tables.delete(Table::Refundable, &key)
        }
        ISettlementEvents::BatchHoldsChanged(BatchHoldsChanged { batch, holds }) => {
            change_batch(tables, batch, |view| view.holds = holds).map(drop)
        }
        // Who may strike and how much may be open is asked of the chain when it matters.
        ISettlementEvents::ArbiterSet(_) | ISettlementEvents::ExposureSet(_) => Ok(()),
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

/// Changes a batch; returns its operator and epoch as a key.
fn change_batch(
    tables: &mut Overlay<'_>,
    batch: B256,
    change: impl FnOnce(&mut ChainBatch),
) -> Result<Vec<u8>> {
    let mut view: ChainBatch = existing(tables, Table::ChainBatches, batch.as_slice())?;
    change(&mut view);
    tables.put(Table::ChainBatches, batch.as_slice(), &view)?;
    Ok(operator_batch_key(view.operator, view.epoch))
}

fn disputes(tables: &mut Overlay<'_>, event: IDisputesEvents) -> Result<()> {
    let IDisputesEvents::Struck(IDisputes::Struck { batch, rule, challenger, slashed, .. }) = event;
    tables.put(Table::Strikes, batch.as_slice(), &StrikeView { rule, challenger, slashed })
}

fn archives(tables: &mut Overlay<'_>, event: IEarningsArchiveEvents) -> Result<()> {
    let IEarningsArchiveEvents::EarningsArchived(IEarningsArchive::EarningsArchived {
        page,
        version,
        operator,
        archivedAt,
        blob,
        certificate,
    }) = event;
    let key = [&page.to_be_bytes()[..], &version.to_be_bytes(), operator.as_slice()].concat();
    let view = ArchiveView { archived_at: archivedAt, blob, certificate: certificate.to_vec() };
    tables.put(Table::Archives, &key, &view)
}

fn models(tables: &mut Overlay<'_>, event: IModelRegistryEvents, time: u64) -> Result<()> {
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

fn mixes(tables: &mut Overlay<'_>, event: IModelMixesEvents) -> Result<()> {
    let IModelMixesEvents::MixSet(IModelMixes::MixSet { model, spansBps, citationsBps, time }) =
        event;
    let mix = Mix::new(spansBps, citationsBps)?;
    tables.put(Table::ModelMixes, &owner_key(model, time), &mix)
}

fn indexes(tables: &mut Overlay<'_>, event: IInfluenceIndexesEvents, block: u64) -> Result<()> {
    use IInfluenceIndexes::{IndexHeld, IndexPublished, IndexStruck};
    type Event = IInfluenceIndexesEvents;
    match event {
        Event::IndexPublished(published) => {
            let IndexPublished {
                model,
                contributors,
                dim,
                symbols,
                acceptedAt,
                blobs,
                certificates,
                ..
            } = published;
            let accepted_at = acceptedAt;
            let certificates = certificates.into_iter().map(Into::into).collect();
            let view = IndexView {
                contributors,
                dim,
                symbols,
                blobs,
                certificates,
                accepted_at,
                struck: false,
            };
            tables.put(Table::IndexOrder, &index_order_key(block, model), &())?;
            tables.put(Table::Indexes, model.as_slice(), &view)
        }
        Event::IndexHeld(IndexHeld { model, acceptedAt }) => {
            change_index(tables, model, |view| view.accepted_at = acceptedAt)
        }
        Event::IndexStruck(IndexStruck { model, .. }) => {
            change_index(tables, model, |view| view.struck = true)
        }
    }
}

fn change_index(
    tables: &mut Overlay<'_>,
    model: B256,
    change: impl FnOnce(&mut IndexView),
) -> Result<()> {
    let mut view: IndexView = existing(tables, Table::Indexes, model.as_slice())?;
    change(&mut view);
    tables.put(Table::Indexes, model.as_slice(), &view)
}

fn span_indexes(tables: &mut Overlay<'_>, event: ISpanIndexesEvents, block: u64) -> Result<()> {
    use ISpanIndexes::{LeafDemanded, LeafShown, SpanIndexPublished, SpanIndexStruck};
    type Event = ISpanIndexesEvents;
    match event {
        Event::SpanIndexPublished(SpanIndexPublished {
            model,
            publisher,
            commitment,
            acceptedAt,
        }) => {
            let view = SpanIndexView {
                commitment,
                publisher,
                disputable_until: acceptedAt,
                accepted_at: acceptedAt,
                demands: 0,
                struck: false,
            };
            tables.put(Table::SpanIndexOrder, &index_order_key(block, model), &())?;
            tables.put(Table::SpanIndexes, model.as_slice(), &view)
        }
        Event::LeafDemanded(LeafDemanded { model, until, .. }) => {
            change_span_index(tables, model, |view| {
                view.demands += 1;
                view.accepted_at = view.accepted_at.max(until);
            })
        }
        Event::LeafShown(LeafShown { model, .. }) => {
            change_span_index(tables, model, |view| view.demands = view.demands.saturating_sub(1))
        }
        Event::SpanIndexStruck(SpanIndexStruck { model, .. }) => {
            change_span_index(tables, model, |view| view.struck = true)
        }
    }
}

fn change_span_index(
    tables: &mut Overlay<'_>,
    model: B256,
    change: impl FnOnce(&mut SpanIndexView),
) -> Result<()> {
    let mut view: SpanIndexView = existing(tables, Table::SpanIndexes, model.as_slice())?;
    change(&mut view);
    tables.put(Table::SpanIndexes, model.as_slice(), &view)
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
