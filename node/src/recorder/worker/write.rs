//! What the recorder keeps of a call, in one durable write.

use alloy::{
    primitives::{B256, keccak256},
    signers::SignerSync,
};
use attribution::settle;
use borsh::{BorshDeserialize, BorshSerialize};

use super::{ChannelRow, Flight, Worker};
use crate::{
    Error, Result,
    recorder::{CallRecord, Recorded, ServedCall, admit, types::witness},
    store::{Store, Table, WriteBatch, get_row, read_sol, write_sol},
    voucher::{self, Receipt, SignedVoucher},
};

/// Where a recorded call is, and what else answers a retry.
#[derive(Debug, BorshSerialize, BorshDeserialize)]
struct AnswerRow {
    call_key: Vec<u8>,
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    receipt: Receipt,
    signature: Vec<u8>,
    answer: Vec<u8>,
}

impl Worker {
    /// Writes record, answer and the channel's total at once, and then charges.
    pub(super) fn write(
        &mut self,
        digest: B256,
        flight: Flight,
        served: ServedCall,
    ) -> Result<Recorded> {
        let signature = signature(&flight.voucher)?;
        let voucher = &flight.voucher.voucher;
        let witness = witness(voucher, signature, served.output_hash, served.sketch.clone());
        let record = self.settle_record(digest, &flight, &served, &witness)?;
        let voucher = flight.voucher.voucher;
        let channel = voucher.channelId;
        let mut totals = self.totals(channel)?;
        // Within the ceiling, because charged + reserved was when the call was admitted.
        totals.charged += record.fee();
        let receipt = receipt(digest, &record, totals.charged, &served);
        let receipt_signature = self.sign(&receipt)?;
        let call_key = admit::call_key(flight.epoch, voucher.call.time, digest);
        let ServedCall { output_hash, sketch, request, answer, .. } = served;
        let call = CallRecord { record, voucher, signature, output_hash, sketch };
        let row = AnswerRow {
            call_key: call_key.clone(),
            receipt: receipt.clone(),
            signature: receipt_signature.clone(),
            answer,
        };
        let last_epoch =
            self.recorded_epoch(channel)?.map_or(flight.epoch, |e| e.max(flight.epoch));
        let channel_row = ChannelRow { charged: totals.charged, base: totals.base, last_epoch };
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Calls, call_key, &call);
        batch.put_row(Table::Answers, digest.as_slice(), &row);
        batch.put(Table::Requests, digest.as_slice(), request);
        batch.put_row(Table::Channels, channel.as_slice(), &channel_row);
        self.store.write(batch)?;
        self.channels.insert(channel, totals);
        *self.epochs.entry(flight.epoch).or_default() += super::room(call.record.sections());
        Ok(Recorded { call, receipt, signature: receipt_signature, answer: row.answer })
    }

    fn sign(&self, receipt: &Receipt) -> Result<Vec<u8>> {
        let signature = self
            .signer
            .sign_hash_sync(&voucher::digest(receipt, &self.domain))
            .map_err(|e| Error::Money(format!("receipt cannot be signed: {e}")))?;
        Ok(signature.as_bytes().to_vec())
    }

    fn recorded_epoch(&self, channel: B256) -> Result<Option<u64>> {
        let row: Option<ChannelRow> = get_row(&*self.store, Table::Channels, channel.as_slice())?;
        Ok(row.map(|row| row.last_epoch))
    }

    pub(super) fn recorded(&self, digest: B256) -> Result<Option<Recorded>> {
        recorded(&*self.store, digest)
    }
}

/// Admission refuses a signature of another length.
fn signature(voucher: &SignedVoucher) -> Result<[u8; 65]> {
    let given = voucher.signature.as_slice();
    given
        .try_into()
        .map_err(|_| Error::Money(format!("signature has {} bytes, must have 65", given.len())))
}

/// What the operator says about a call that brings its channel to `charged`.
fn receipt(digest: B256, record: &settle::Record, charged: u64, served: &ServedCall) -> Receipt {
    Receipt {
        voucherDigest: digest,
        fee: record.fee(),
        charged,
        tokensIn: served.tokens_in,
        tokensOut: served.tokens_out,
        outputHash: served.output_hash,
        sketchHash: keccak256(bytes_of(&served.sketch)),
    }
}

fn bytes_of(sketch: &[i8]) -> Vec<u8> {
    sketch.iter().map(|value| value.cast_unsigned()).collect()
}

/// The recorded call with this voucher digest, `None` if there is none.
///
/// # Errors
/// [`Error::Store`] if the store cannot be read or a row is damaged.
pub fn recorded(store: &dyn Store, digest: B256) -> Result<Option<Recorded>> {
    let row: Option<AnswerRow> = get_row(store, Table::Answers, digest.as_slice())?;
    let Some(AnswerRow { call_key, receipt, signature, answer }) = row else { return Ok(None) };
    let call = get_row(store, Table::Calls, &call_key)?
        .ok_or_else(|| Error::Store(format!("answer {digest} has no call")))?;
    Ok(Some(Recorded { call, receipt, signature, answer }))
}
