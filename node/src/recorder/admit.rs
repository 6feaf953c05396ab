//! The rules of admission, in their order.

use alloy::{
    primitives::{Address, B256, U256},
    sol_types::Eip712Domain,
};

use super::{Refusal, worker::Totals};
use crate::{
    Result,
    registry::{ChannelView, Registry},
    voucher::SignedVoucher,
};

/// Wei in a gwei.
const GWEI: u64 = 1_000_000_000;

/// Checks who signed, and that the channel is to `operator`.
///
/// # Errors
/// [`Refusal`] or [`crate::Error::Store`].
pub(super) fn check_signer(
    registry: &Registry,
    domain: &Eip712Domain,
    operator: Address,
    signed: &SignedVoucher,
) -> Result<ChannelView> {
    let signer = signed.signer(domain)?;
    let channel = signed.voucher.channelId;
    let view = registry.channel(channel)?.ok_or(Refusal::UnknownChannel { channel })?;
    if view.operator != operator {
        return Err(Refusal::OtherOperator { channel, operator: view.operator }.into());
    }
    if view.payer != signer {
        return Err(Refusal::OtherPayer { channel, payer: view.payer, signer }.into());
    }
    Ok(view)
}

/// Checks the price version and the signed time against the chain's head.
///
/// # Errors
/// [`Refusal`] or [`crate::Error::Store`].
pub(super) fn check_terms(
    registry: &Registry,
    max_skew: u64,
    signed: &SignedVoucher,
) -> Result<()> {
    let call = &signed.voucher.call;
    let model = call.modelId;
    let current = registry.model(model)?.ok_or(Refusal::UnknownModel { model })?.price_version;
    if call.priceVersion != current {
        return Err(Refusal::PriceVersion { given: call.priceVersion, current }.into());
    }
    let head = registry.head().timestamp;
    if call.time.abs_diff(head) > max_skew {
        return Err(Refusal::Time { time: call.time, head, max_skew }.into());
    }
    Ok(())
}

/// Checks that the call's epoch can still be paid for.
///
/// # Errors
/// [`Refusal::EarlierEpoch`] or [`Refusal::EpochSealed`].
pub(super) fn check_epoch(
    epoch: u64,
    last_admitted: Option<u64>,
    sealed_through: Option<u64>,
) -> std::result::Result<(), Refusal> {
    if let Some(last) = last_admitted.filter(|&last| epoch < last) {
        return Err(Refusal::EarlierEpoch { epoch, last });
    }
    if sealed_through.is_some_and(|sealed| epoch <= sealed) {
        return Err(Refusal::EpochSealed { epoch });
    }
    Ok(())
}

/// Checks that the ceiling covers the call and the deposit covers the ceiling.
///
/// # Errors
/// [`Refusal::CeilingTooLow`] or [`Refusal::AboveDeposit`].
pub(super) fn check_funds(
    totals: &Totals,
    max_fee: u64,
    ceiling: u64,
    channel: &ChannelView,
) -> std::result::Result<(), Refusal> {
    // A sum above 2^64 is above every ceiling.
    let required = totals.charged.saturating_add(totals.reserved).saturating_add(max_fee);
    let overflows = u128::from(totals.charged) + u128::from(totals.reserved) + u128::from(max_fee)
        > u128::from(u64::MAX);
    if overflows || ceiling < required {
        return Err(Refusal::CeilingTooLow { required, given: ceiling });
    }
    let available = channel.deposit.saturating_sub(channel.withdrawal);
    if U256::from(ceiling) * U256::from(GWEI) > available {
        return Err(Refusal::AboveDeposit { ceiling, available });
    }
    Ok(())
}

/// The key of a call in [`crate::store::Table::Calls`]: epoch, time, digest.
pub(super) fn call_key(epoch: u64, time: u64, digest: B256) -> Vec<u8> {
    [&epoch.to_be_bytes()[..], &time.to_be_bytes(), digest.as_slice()].concat()
}
