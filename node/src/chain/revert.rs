//! Names for what contracts revert with.

use alloy::{
    hex,
    sol_types::SolInterface,
    transports::{RpcError, TransportErrorKind},
};

use super::bindings::{
    IDaCertVerifier, IEarningsArchive, IIndexDisputes, IInfluenceIndexes, IModelRegistry,
    IPaymentChannels, IRecordSamples, ISettlement, ISketchVotes, IValidatorRoll,
};
use crate::Error;

/// [`Error::Reverted`] with the contract's error if there is one, else [`Error::Chain`].
pub(super) fn error(e: RpcError<TransportErrorKind>) -> Error {
    let Some(payload) = e.as_error_resp() else { return Error::chain(e) };
    match payload.as_revert_data() {
        Some(data) => Error::Reverted(name(&data)),
        None if payload.message.contains("revert") => Error::Reverted(payload.message.to_string()),
        None => Error::chain(e),
    }
}

/// The error and its arguments, or the bytes if no contract of ours has such an error.
fn name(data: &[u8]) -> String {
    fn decode<E: SolInterface + std::fmt::Debug>(data: &[u8]) -> Option<String> {
        E::abi_decode(data).ok().map(|e| format!("{e:?}"))
    }
    decode::<ISettlement::ISettlementErrors>(data)
        .or_else(|| decode::<IPaymentChannels::IPaymentChannelsErrors>(data))
        .or_else(|| decode::<IDaCertVerifier::IDaCertVerifierErrors>(data))
        .or_else(|| decode::<IModelRegistry::IModelRegistryErrors>(data))
        .or_else(|| decode::<IEarningsArchive::IEarningsArchiveErrors>(data))
        .or_else(|| decode::<ISketchVotes::ISketchVotesErrors>(data))
        .or_else(|| decode::<IValidatorRoll::IValidatorRollErrors>(data))
        .or_else(|| decode::<IRecordSamples::IRecordSamplesErrors>(data))
        .or_else(|| decode::<IInfluenceIndexes::IInfluenceIndexesErrors>(data))
        .or_else(|| decode::<IIndexDisputes::IIndexDisputesErrors>(data))
        .unwrap_or_else(|| hex::encode_prefixed(data))
}
