//! Vouchers as JSON: field names of the EIP-712 types, hashes as 0x-hex, integers as decimal strings
//! (written) or as numbers or decimal strings (read).

use alloy::primitives::{B256, Bytes};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::chain::bindings;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignedVoucher {
    voucher: Voucher,
    signature: Bytes,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Voucher {
    channel_id: B256,
    #[serde(with = "decimal")]
    ceiling: u64,
    call: Call,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Call {
    model_id: B256,
    price_version: u32,
    prompt_hash: B256,
    #[serde(with = "decimal")]
    seed: u64,
    #[serde(with = "decimal")]
    max_tokens: u64,
    #[serde(with = "decimal")]
    time: u64,
}

/// 64-bit integers that JavaScript can read whole.
mod decimal {
    use serde::de::Error;

    use super::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Decimal {
            Number(u64),
            Text(String),
        }
        match Decimal::deserialize(input)? {
            Decimal::Number(value) => Ok(value),
            Decimal::Text(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().map_err(|_| D::Error::custom(format!("not a 64-bit integer: {text}")))
            }
            Decimal::Text(text) => Err(D::Error::custom(format!("not a decimal integer: {text}"))),
        }
    }
}

impl From<SignedVoucher> for super::SignedVoucher {
    fn from(wire: SignedVoucher) -> Self {
        let Voucher { channel_id, ceiling, call } = wire.voucher;
        let call = bindings::Call {
            modelId: call.model_id,
            priceVersion: call.price_version,
            promptHash: call.prompt_hash,
            seed: call.seed,
            maxTokens: call.max_tokens,
            time: call.time,
        };
        let voucher = bindings::Voucher { channelId: channel_id, ceiling, call };
        Self { voucher, signature: wire.signature.to_vec() }
    }
}

impl From<super::SignedVoucher> for SignedVoucher {
    fn from(signed: super::SignedVoucher) -> Self {
        let bindings::Voucher { channelId, ceiling, call } = signed.voucher;
        let call = Call {
            model_id: call.modelId,
            price_version: call.priceVersion,
            prompt_hash: call.promptHash,
            seed: call.seed,
            max_tokens: call.maxTokens,
            time: call.time,
        };
        let voucher = Voucher { channel_id: channelId, ceiling, call };
        Self { voucher, signature: signed.signature.into() }
    }
}
