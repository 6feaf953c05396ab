//! The `X-Payment` header: base64 of a voucher with its signature, as JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use super::error::ApiError;
use crate::voucher::SignedVoucher;

/// Name of the header.
pub const PAYMENT_HEADER: &str = "x-payment";
/// Name of the header that names a channel, so that an answer without payment tells its state.
pub const CHANNEL_HEADER: &str = "x-channel";
/// Longest header value read, in bytes; a voucher needs about 900.
const MAX_HEADER_BYTES: usize = 4096;

/// The header's value for a voucher.
pub fn encode(voucher: &SignedVoucher) -> String {
    BASE64.encode(serde_json::to_vec(voucher).expect("a voucher is plain data"))
}

/// Reads a header's value.
///
/// # Errors
/// 400 if it is too long, not base64, not JSON of a voucher, or the signature is not 65 bytes.
pub fn decode(value: &[u8]) -> Result<SignedVoucher, ApiError> {
    let invalid =
        |what: String| ApiError { code: "invalid_payment", ..ApiError::invalid("X-Payment", what) };
    if value.len() > MAX_HEADER_BYTES {
        return Err(invalid(format!("X-Payment has {} bytes", value.len())));
    }
    let json = BASE64
        .decode(value)
        .map_err(|error| invalid(format!("X-Payment is not base64: {error}")))?;
    let voucher: SignedVoucher = serde_json::from_slice(&json)
        .map_err(|error| invalid(format!("X-Payment is not a voucher: {error}")))?;
    if voucher.signature.len() != 65 {
        let length = voucher.signature.len();
        return Err(invalid(format!("signature has {length} bytes, not 65")));
    }
    Ok(voucher)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;

    use super::*;
    use crate::voucher::{Call, Voucher};

    fn voucher() -> SignedVoucher {
        let call = Call {
            modelId: B256::repeat_byte(2),
            priceVersion: 3,
            promptHash: B256::repeat_byte(4),
            seed: 5,
            maxTokens: 6,
            time: 7,
        };
        let voucher = Voucher { channelId: B256::repeat_byte(1), ceiling: u64::MAX, call };
        SignedVoucher { voucher, signature: vec![9; 65] }
    }

    #[test]
    fn a_voucher_reads_back_from_its_header() {
        assert_eq!(decode(encode(&voucher()).as_bytes()).unwrap(), voucher());
    }

    #[test]
    fn numbers_and_decimal_strings_are_the_same() {
        let text = serde_json::to_string(&voucher()).unwrap();
        assert!(text.contains("\"ceiling\":\"18446744073709551615\""), "{text}");
        let numbers = text.replace("\"seed\":\"5\"", "\"seed\":5");
        assert_eq!(decode(BASE64.encode(numbers).as_bytes()).unwrap(), voucher());
    }

    #[test]
    fn damaged_headers_are_refused() {
        let text = serde_json::to_string(&voucher()).unwrap();
        let cases = [
            b"%%%".to_vec(),
            BASE64.encode("{}").into_bytes(),
            BASE64.encode(text.replace("\"seed\":\"5\"", "\"seed\":\"+5\"")).into_bytes(),
            BASE64.encode(text.replace("\"seed\":\"5\"", "\"seed\":-5")).into_bytes(),
            BASE64.encode(text.replace("0909", "09")).into_bytes(),
            BASE64.encode(text.replace("\"signature\"", "\"sig\"")).into_bytes(),
            vec![b'A'; MAX_HEADER_BYTES + 1],
        ];
        for case in cases {
            let error = decode(&case).unwrap_err();
            assert_eq!(error.code, "invalid_payment", "{}", String::from_utf8_lossy(&case));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = decode(&bytes);
            let _ = decode(BASE64.encode(&bytes).as_bytes());
        }
    }
}
