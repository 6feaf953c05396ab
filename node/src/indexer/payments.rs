//! What events of channels, batches, claims, disputes and archives do to the tables.

use alloy::primitives::{B256, U256};

use super::{
    apply::{change, existing},
    overlay::Overlay,
    views::*,
};
use crate::{
    Result,
    chain::bindings::{
        IDisputes::{self, IDisputesEvents},
        IEarningsArchive::{self, IEarningsArchiveEvents},
        IPaymentChannels::{self, IPaymentChannelsEvents},
        ISettlement::{self, ISettlementEvents},
    },
    registry::operator_batch_key,
    store::Table,
};

pub(super) fn channels(tables: &mut Overlay<'_>, event: IPaymentChannelsEvents) -> Result<()> {
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
            change(tables, Table::ChainChannels, channel, |view: &mut ChannelView| {
                view.deposit = deposit
            })
        }
        Event::Refunded(Refunded { channel, deposit, .. }) => {
            change(tables, Table::ChainChannels, channel, |view: &mut ChannelView| {
                view.deposit = deposit
            })
        }
        Event::Drawn(Drawn { channel, drawn, .. }) => {
            change(tables, Table::ChainChannels, channel, |view: &mut ChannelView| {
                view.drawn = drawn
            })
        }
        Event::WithdrawalRequested(WithdrawalRequested { channel, amount, .. }) => {
            change(tables, Table::ChainChannels, channel, |view: &mut ChannelView| {
                view.withdrawal = amount
            })
        }
        Event::Withdrawn(Withdrawn { channel, amount }) => {
            change(tables, Table::ChainChannels, channel, |view: &mut ChannelView| {
                view.deposit = view.deposit.saturating_sub(amount);
                view.withdrawal = U256::ZERO;
            })
        }
    }
}

pub(super) fn settlement(tables: &mut Overlay<'_>, event: ISettlementEvents) -> Result<()> {
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

pub(super) fn disputes(tables: &mut Overlay<'_>, event: IDisputesEvents) -> Result<()> {
    let IDisputesEvents::Struck(IDisputes::Struck { batch, rule, challenger, slashed, .. }) = event;
    tables.put(Table::Strikes, batch.as_slice(), &StrikeView { rule, challenger, slashed })
}

pub(super) fn archives(tables: &mut Overlay<'_>, event: IEarningsArchiveEvents) -> Result<()> {
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
