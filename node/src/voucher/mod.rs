//! What a payer signs for one call, and what the operator signs about it.

use alloy::{
    primitives::{Address, B256, Signature},
    sol_types::{Eip712Domain, SolStruct, eip712_domain},
};
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

impl SignedVoucher {
    /// The account that signed this voucher.
    ///
    /// # Errors
    /// [`Refusal::Signature`] if the signature is not 65 bytes, is not the one of its two forms that
    /// contracts accept (low s), or is nobody's.
    pub fn signer(&self, domain: &Eip712Domain) -> Result<Address, Refusal> {
        let refuse = |reason: String| Refusal::Signature { reason };
        let signature = Signature::from_raw(&self.signature).map_err(|e| refuse(e.to_string()))?;
        if signature.normalize_s().is_some() {
            return Err(refuse("s is in the upper half of the order".into()));
        }
        signature
            .recover_address_from_prehash(&digest(&self.voucher, domain))
            .map_err(|e| refuse(e.to_string()))
    }
}
