//! What a payer signs for one call, and what the operator signs about it.

use alloy::{
    primitives::{Address, B256, Signature},
    sol_types::{Eip712Domain, SolStruct, eip712_domain},
};
use attribution::settle::Witness;
use serde::{Deserialize, Serialize};

mod wire;

pub use crate::chain::bindings::{Call, Receipt, Voucher};
use crate::recorder::Refusal;

/// A voucher with its payer's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "wire::SignedVoucher", into = "wire::SignedVoucher")]
pub struct SignedVoucher {
    /// What is signed: the channel, the cumulative ceiling and the call.
    pub voucher: Voucher,
    /// 65 bytes: r, s, v.
    pub signature: Vec<u8>,
}

/// The EIP-712 domain of vouchers and receipts.
pub const fn domain(chain_id: u64, payment_channels: Address) -> Eip712Domain {
    eip712_domain! {
        name: "OpenLedger PaymentChannels",
        version: "1",
        chain_id: chain_id,
        verifying_contract: payment_channels,
    }
}

/// The digest that is signed; a voucher's digest is also the name of its call.
pub fn digest(message: &impl SolStruct, domain: &Eip712Domain) -> B256 {
    message.eip712_signing_hash(domain)
}

impl From<&Witness> for SignedVoucher {
    /// The voucher that a record's witness holds.
    fn from(witness: &Witness) -> Self {
        let call = Call {
            modelId: witness.model.0.into(),
            priceVersion: witness.price_version,
            promptHash: witness.prompt_hash.into(),
            seed: witness.seed,
            maxTokens: witness.max_tokens,
            time: witness.time,
        };
        let channel = witness.channel.0.into();
        let voucher = Voucher { channelId: channel, ceiling: witness.ceiling, call };
        Self { voucher, signature: witness.signature.to_vec() }
    }
}

impl SignedVoucher {
    /// The account that signed this voucher.
    ///
    /// # Errors
    /// [`Refusal::Signature`] if the signature is not 65 bytes, is not of the one form that contracts
    /// accept (low s, v 27 or 28), or is nobody's.
    pub fn signer(&self, domain: &Eip712Domain) -> Result<Address, Refusal> {
        let refuse = |reason: String| Refusal::Signature { reason };
        let signature = Signature::from_raw(&self.signature).map_err(|e| refuse(e.to_string()))?;
        // Contracts take no other form of v, so a batch could not draw with it.
        if !matches!(self.signature.last(), Some(27 | 28)) {
            return Err(refuse("v is neither 27 nor 28".into()));
        }
        if signature.normalize_s().is_some() {
            return Err(refuse("s is in the upper half of the order".into()));
        }
        signature
            .recover_address_from_prehash(&digest(&self.voucher, domain))
            .map_err(|e| refuse(e.to_string()))
    }
}
