//! Who may read what was asked and answered.

use alloy::{
    primitives::{Address, B256, Bytes, Signature},
    signers::{SignerSync, local::PrivateKeySigner},
    sol,
    sol_types::Eip712Domain,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, api::answer::Decimal, voucher};

/// Name of the header in which a payer shows that a call is its own.
pub const READER_HEADER: &str = "x-reader";
/// How far ahead of the chain's head a reading may last (seconds).
pub const MAX_READING_SECONDS: u64 = 3_600;
/// Longest header value read, in bytes.
const MAX_HEADER_BYTES: usize = 1_024;

sol! {
    /// What a payer signs to read a call of its own, in the domain of vouchers.
    #[derive(Debug, PartialEq, Eq)]
    struct Reading {
        /// EIP-712 digest of the call's voucher.
        bytes32 voucherDigest;
        /// Until when (seconds) it may be read with this.
        uint64 until;
    }
}

/// A reading with its payer's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedReading {
    /// Until when (seconds).
    pub until: Decimal<u64>,
    /// 65 bytes.
    pub signature: Bytes,
}

impl SignedReading {
    /// A payer's reading of a call.
    ///
    /// # Errors
    /// [`Error::Config`] if the key cannot sign.
    pub fn sign(
        call: B256,
        until: u64,
        signer: &PrivateKeySigner,
        domain: &Eip712Domain,
    ) -> Result<Self> {
        let digest = voucher::digest(&Reading { voucherDigest: call, until }, domain);
        let signature = signer
            .sign_hash_sync(&digest)
            .map_err(|error| Error::Config(format!("signing a reading: {error}")))?;
        Ok(Self { until: Decimal(until), signature: signature.as_bytes().into() })
    }

    /// The header's value.
    #[must_use]
    pub fn encode(&self) -> String {
        BASE64.encode(serde_json::to_vec(self).expect("a reading is plain data"))
    }

    /// Reads a header's value; `None` unless it is base64 of JSON of a reading.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<Self> {
        if value.len() > MAX_HEADER_BYTES {
            return None;
        }
        serde_json::from_slice(&BASE64.decode(value).ok()?).ok()
    }

    /// Who signed that it reads `call`; `None` if nobody did, or at `now` (seconds) the reading is
    /// over or lasts longer than it may.
    #[must_use]
    pub fn reader(&self, call: B256, now: u64, domain: &Eip712Domain) -> Option<Address> {
        let until = self.until.0;
        if until < now || until > now.saturating_add(MAX_READING_SECONDS) {
            return None;
        }
        let digest = voucher::digest(&Reading { voucherDigest: call, until }, domain);
        Signature::from_raw(&self.signature).ok()?.recover_address_from_prehash(&digest).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_of_one_call_for_a_while() {
        let signer = PrivateKeySigner::random();
        let domain = voucher::domain(1, Address::repeat_byte(2));
        let call = B256::repeat_byte(3);
        let signed = SignedReading::sign(call, 1_000, &signer, &domain).unwrap();
        let read = SignedReading::decode(signed.encode().as_bytes()).unwrap();
        assert_eq!(read, signed);
        for (of, now, domain, is_reader) in [
            (call, 900, &domain, true),
            (call, 1_000, &domain, true),
            (call, 1_001, &domain, false),
            (call, 0, &domain, true),
            (B256::repeat_byte(4), 900, &domain, false),
            (call, 900, &voucher::domain(2, Address::repeat_byte(2)), false),
        ] {
            assert_eq!(read.reader(of, now, domain) == Some(signer.address()), is_reader, "{now}");
        }
        let long = SignedReading::sign(call, 4_601, &signer, &domain).unwrap();
        assert_eq!(long.reader(call, 1_000, &domain), None);
        assert_eq!(long.reader(call, 1_001, &domain), Some(signer.address()));
        assert_eq!(SignedReading::decode(b"%%"), None);
    }
}
