//! What each event does to the tables.

use alloy::{
    primitives::{Address, B256},
    rpc::types::Log,
    sol_types::{SolEvent, SolEventInterface},
};
use borsh::{BorshDeserialize, BorshSerialize};

use super::{figures, indexes, overlay::Overlay, payments, registries};
use crate::{
    Error, Result,
    chain::{
        Deployment,
        bindings::{
            IBondedFigures::IBondedFiguresEvents,
            IDatanetRegistry::IDatanetRegistryEvents,
            IDisputes::IDisputesEvents,
            IEarnerRegistry::IEarnerRegistryEvents,
            IEarningsArchive::IEarningsArchiveEvents,
            IFeeSchedule::IFeeScheduleEvents,
            IInfluenceIndexes::IInfluenceIndexesEvents,
            IModelMixes::IModelMixesEvents,
            IModelRegistry::{self, IModelRegistryEvents},
            IPaymentChannels::IPaymentChannelsEvents,
            ISettlement::ISettlementEvents,
            ISpanIndexes::ISpanIndexesEvents,
        },
    },
    registry::HEAD_KEY,
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
        decoded(log, IPaymentChannelsEvents::SELECTORS)?
            .map_or(Ok(()), |e| payments::channels(tables, e))
    } else if source == deployment.settlement {
        decoded(log, ISettlementEvents::SELECTORS)?
            .map_or(Ok(()), |e| payments::settlement(tables, e))
    } else if source == deployment.model_registry {
        decoded(log, IModelRegistryEvents::SELECTORS)?
            .map_or(Ok(()), |e| registries::models(tables, e, time))
    } else if source == deployment.model_mixes {
        decoded(log, IModelMixesEvents::SELECTORS)?.map_or(Ok(()), |e| registries::mixes(tables, e))
    } else if source == deployment.influence_indexes {
        decoded(log, IInfluenceIndexesEvents::SELECTORS)?.map_or(Ok(()), |e| {
            let block = log.block_number.unwrap_or_default();
            indexes::influence(tables, e, block)
        })
    } else if source == deployment.span_indexes {
        decoded(log, ISpanIndexesEvents::SELECTORS)?.map_or(Ok(()), |e| {
            let block = log.block_number.unwrap_or_default();
            indexes::spans(tables, e, block)
        })
    } else if source == deployment.bonded_figures {
        decoded(log, IBondedFiguresEvents::SELECTORS)?.map_or(Ok(()), |e| figures::event(tables, e))
    } else if source == deployment.datanet_registry {
        decoded(log, IDatanetRegistryEvents::SELECTORS)?
            .map_or(Ok(()), |e| registries::datanets(tables, e))
    } else if source == deployment.earner_registry {
        decoded(log, IEarnerRegistryEvents::SELECTORS)?
            .map_or(Ok(()), |e| registries::earners(tables, e))
    } else if source == deployment.fee_schedule {
        decoded(log, IFeeScheduleEvents::SELECTORS)?
            .map_or(Ok(()), |e| registries::rules(tables, e))
    } else if source == deployment.disputes {
        decoded(log, IDisputesEvents::SELECTORS)?.map_or(Ok(()), |e| payments::disputes(tables, e))
    } else if source == deployment.earnings_archive {
        decoded(log, IEarningsArchiveEvents::SELECTORS)?
            .map_or(Ok(()), |e| payments::archives(tables, e))
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

/// A row that an event must have made before.
pub(super) fn existing<T: BorshDeserialize>(
    tables: &Overlay<'_>,
    table: Table,
    key: &[u8],
) -> Result<T> {
    tables.get(table, key)?.ok_or_else(|| {
        let id = alloy::hex::encode_prefixed(key);
        Error::Chain(format!("event about an unknown row {id} of {}", table.name()))
    })
}

/// Changes a row that must be there.
pub(super) fn change<T: BorshDeserialize + BorshSerialize>(
    tables: &mut Overlay<'_>,
    table: Table,
    id: B256,
    change: impl FnOnce(&mut T),
) -> Result<()> {
    let mut row = existing(tables, table, id.as_slice())?;
    change(&mut row);
    tables.put(table, id.as_slice(), &row)
}
