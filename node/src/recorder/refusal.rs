//! Why a voucher is not accepted.

use alloy::primitives::{Address, B256, U256};

/// A rule that a voucher breaks. Nothing was changed when one is returned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The signature is malformed.
    #[error("voucher signature: {reason}")]
    Signature {
        /// What is wrong with it.
        reason: String,
    },
    /// The chain has no such channel as of the head.
    #[error("channel {channel} is unknown")]
    UnknownChannel {
        /// The voucher's channel.
        channel: B256,
    },
    /// The channel pays another operator.
    #[error("channel {channel} pays operator {operator}, not this one")]
    OtherOperator {
        /// The voucher's channel.
        channel: B256,
        /// Whom it pays.
        operator: Address,
    },
    /// Another account than the channel's payer signed.
    #[error("channel {channel} is of payer {payer}, the voucher is signed by {signer}")]
    OtherPayer {
        /// The voucher's channel.
        channel: B256,
        /// Who has to sign.
        payer: Address,
        /// Who signed.
        signer: Address,
    },
    /// The chain has no such model as of the head.
    #[error("model {model} is unknown")]
    UnknownModel {
        /// The voucher's model.
        model: B256,
    },
    /// The price that was signed is not the one in force.
    #[error("price version {given} is not in force, version {current} is")]
    PriceVersion {
        /// The voucher's version.
        given: u32,
        /// The version in force.
        current: u32,
    },
    /// The signed time is too far from the chain's.
    #[error("time {time} is more than {max_skew} s from the chain's {head}")]
    Time {
        /// The voucher's time (seconds).
        time: u64,
        /// Time of the chain's head (seconds).
        head: u64,
        /// Seconds allowed between them.
        max_skew: u64,
    },
    /// A later epoch's call of this channel was admitted, so this one could not be drawn for.
    #[error("epoch {epoch} is before the channel's last, {last}")]
    EarlierEpoch {
        /// The epoch of the voucher's time.
        epoch: u64,
        /// The epoch of the channel's last admitted call.
        last: u64,
    },
    /// The batch of the signed time's epoch is sealed.
    #[error("epoch {epoch} is sealed")]
    EpochSealed {
        /// The epoch of the voucher's time.
        epoch: u64,
    },
    /// The ceiling does not cover this call on top of those before it.
    #[error(
        "ceiling {given} is below {required}: charged and reserved so far, and this call's largest fee"
    )]
    CeilingTooLow {
        /// Gwei that the ceiling has to reach.
        required: u64,
        /// The voucher's ceiling, gwei.
        given: u64,
    },
    /// The channel's deposit, less the pending withdrawal, does not cover the ceiling.
    #[error("ceiling {ceiling} gwei is above the channel's available deposit of {available} wei")]
    AboveDeposit {
        /// The voucher's ceiling, gwei.
        ceiling: u64,
        /// Deposit less pending withdrawal, wei.
        available: U256,
    },
    /// The channel has as many calls in flight as one may have.
    #[error("{given} calls of channel {channel} are in flight, {max} may be")]
    TooManyInFlight {
        /// The voucher's channel.
        channel: B256,
        /// Calls in flight.
        given: usize,
        /// Calls that may be.
        max: usize,
    },
    /// The epoch's batch has no room for another call.
    #[error("epoch {epoch} has {max} calls, which is all that fit a batch")]
    EpochFull {
        /// The epoch of the voucher's time.
        epoch: u64,
        /// Calls that fit.
        max: usize,
    },
}
