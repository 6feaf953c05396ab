//! What goes in and out of the recorder.

use std::sync::Arc;

use alloy::primitives::B256;
use attribution::settle::{self, ChannelId, EarnerIndex, ModelId, Uses, Witness};
use borsh::{BorshDeserialize, BorshSerialize};
use tokio::sync::watch;

use super::Release;
use crate::{
    store::{read_sol, write_sol},
    voucher::{Receipt, SignedVoucher, Voucher},
};

/// What serving a call found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedCall {
    /// Prompt tokens.
    pub tokens_in: u64,
    /// Generated tokens.
    pub tokens_out: u64,
    /// keccak256 of the answer's text.
    pub output_hash: B256,
    /// The query's int8 sketch; empty for a model without influence index.
    pub sketch: Vec<i8>,
    /// Every contributor's score; order does not matter.
    pub scores: Vec<(EarnerIndex, i64)>,
    /// How rows were used. The mix is the recorder's to find; uses that it gives nothing are not
    /// kept.
    pub uses: Uses,
    /// The request's body, which has to be revealed if the record is challenged.
    pub request: Vec<u8>,
    /// What the API needs to give this answer again; opaque here.
    pub answer: Vec<u8>,
}

/// A paid call, a function of the call alone: whatever else ran beside it, it is the same.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CallRecord {
    /// Fee, shares and credits. Its interval starts at 0 here; the batch gives it its place.
    pub record: settle::Record,
    /// What the payer signed.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub voucher: Voucher,
    /// The payer's signature: r, s, v.
    pub signature: [u8; 65],
    /// keccak256 of the answer's text.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub output_hash: B256,
    /// The query's int8 sketch; empty for a model without influence index.
    pub sketch: Vec<i8>,
}

impl CallRecord {
    /// The voucher's EIP-712 digest.
    pub const fn digest(&self) -> B256 {
        B256::new(self.record.call().voucher)
    }

    /// The voucher as it was given.
    pub fn signed_voucher(&self) -> SignedVoucher {
        SignedVoucher { voucher: self.voucher.clone(), signature: self.signature.to_vec() }
    }

    /// What the record's hash binds, for whoever disputes it.
    pub fn witness(&self) -> Witness {
        witness(&self.voucher, self.signature, self.output_hash, self.sketch.clone())
    }
}

/// The witness of a call.
pub(super) const fn witness(
    voucher: &Voucher,
    signature: [u8; 65],
    output_hash: B256,
    sketch: Vec<i8>,
) -> Witness {
    let call = &voucher.call;
    Witness {
        channel: ChannelId(voucher.channelId.0),
        ceiling: voucher.ceiling,
        model: ModelId(call.modelId.0),
        price_version: call.priceVersion,
        prompt_hash: call.promptHash.0,
        seed: call.seed,
        max_tokens: call.maxTokens,
        time: call.time,
        output_hash: output_hash.0,
        signature,
        sketch,
    }
}

/// A call that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// What is settled.
    pub call: CallRecord,
    /// What the operator says about it; `charged` is the channel's total with this call.
    pub receipt: Receipt,
    /// The operator's signature of the receipt, 65 bytes.
    pub signature: Vec<u8>,
    /// [`ServedCall::answer`].
    pub answer: Vec<u8>,
}

/// What [`super::RecorderHandle::admit`] found.
#[derive(Debug)]
pub enum Admission {
    /// Nobody serves this call yet: the caller does, and then records or drops the reservation.
    New(Reservation),
    /// It was served before.
    Recorded(Box<Recorded>),
    /// Somebody is serving it.
    InFlight(InFlight),
}

/// The right to serve one call; its largest fee is set aside until it is recorded or dropped.
#[derive(Debug)]
pub struct Reservation {
    // Dropped before `result`: whoever waits then finds the call released when it asks again.
    pub(super) release: Release,
    pub(super) max_fee: u64,
    pub(super) result: watch::Sender<Option<Arc<Recorded>>>,
}

impl Reservation {
    /// The voucher's EIP-712 digest, which names the call.
    pub const fn digest(&self) -> B256 {
        self.release.digest
    }

    /// The most that the call may cost (gwei).
    pub const fn max_fee(&self) -> u64 {
        self.max_fee
    }
}

/// Waits for a call that somebody else serves.
#[derive(Debug, Clone)]
pub struct InFlight {
    pub(super) result: watch::Receiver<Option<Arc<Recorded>>>,
}

impl InFlight {
    /// The call once it is recorded; `None` if whoever served it gave up, after which admitting it
    /// again is allowed.
    pub async fn wait(mut self) -> Option<Arc<Recorded>> {
        self.result.wait_for(Option::is_some).await.ok().and_then(|recorded| recorded.clone())
    }
}
