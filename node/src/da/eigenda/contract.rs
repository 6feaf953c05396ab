//! EigenDA's certificates as its contracts take them, and back to the form of its proxy.
//!
//! Both encodings hold the same fields in the same order (`certificate` shows them), so one description
//! of the structure serves both: integers, bytes and lists of RLP are those of the ABI. Version 2 is
//! version 3 with the first two fields the other way round, which is all that EigenDA's own conversion
//! between them does.

use alloy::{
    dyn_abi::{DynSolType, DynSolValue},
    primitives::U256,
    rlp::{Decodable, Encodable, Error as RlpError, Header, Result as RlpResult},
};

use super::certificate::MAX_CERTIFICATE;
use crate::{Error, Result};

/// Longest certificate in ABI encoding, in bytes; EigenDA's verifier takes twice as many. One that all
/// of EigenDA's operators but the fewest signed has about 3,000.
pub(super) const MAX_ABI_CERTIFICATE: usize = 131_072;

const BATCH_HEADER: &str = "(bytes32,uint32)";
const INCLUSION: &str = "(((uint16,bytes,((uint256,uint256),(uint256[2],uint256[2]),\
    (uint256[2],uint256[2]),uint32),bytes32),bytes,uint32[]),uint32,bytes)";
const SIGNATURES: &str = "(uint32[],(uint256,uint256)[],(uint256,uint256)[],(uint256[2],uint256[2]),\
    (uint256,uint256),uint32[],uint32[],uint32[][])";

/// The structure of version 3, or of version 4, which has a number behind.
fn structure(is_fourth: bool) -> DynSolType {
    let last = if is_fourth { ",uint16" } else { "" };
    let text = format!("({BATCH_HEADER},{INCLUSION},{SIGNATURES},bytes{last})");
    DynSolType::parse(&text).expect("the text above is a type")
}

/// A certificate of the proxy as EigenDA's contracts take it: version 3 or 4, ABI-encoded.
///
/// # Errors
/// [`Error::Availability`] if it is longer than 16 KiB, of an unknown version, not RLP of that
/// version's form, or too long in the other encoding.
pub fn to_abi(certificate: &[u8]) -> Result<Vec<u8>> {
    let Some((&version @ 1..=3, mut rlp)) = certificate.split_first() else {
        return Err(malformed("of a known version, of the proxy"));
    };
    if certificate.len() > MAX_CERTIFICATE {
        return Err(malformed("of at most 16 KiB"));
    }
    let mut fields = structure(version == 3);
    if version == 1 {
        swap(&mut fields);
    }
    let value = read(&fields, &mut rlp).map_err(|_| malformed("RLP of its version"))?;
    let (true, DynSolValue::Tuple(mut values)) = (rlp.is_empty(), value) else {
        return Err(malformed("RLP of its version"));
    };
    if version == 1 {
        values.swap(0, 1);
    }
    let abi = DynSolValue::Tuple(values).abi_encode();
    if abi.len() > MAX_ABI_CERTIFICATE {
        return Err(malformed("of at most 128 KiB in ABI encoding"));
    }
    Ok(abi)
}

/// The certificates of the proxy, newest version first, that are this one of the contracts. A proxy
/// knows what it gave, and perhaps only that.
///
/// # Errors
/// [`Error::Availability`] if it is longer than 128 KiB, as RLP than 16 KiB, or no ABI-encoded
/// certificate.
pub fn from_abi(certificate: &[u8]) -> Result<Vec<Vec<u8>>> {
    if certificate.len() > MAX_ABI_CERTIFICATE {
        return Err(malformed("of at most 128 KiB in ABI encoding"));
    }
    // The fourth word points behind those of the structure: five, or six of version 4.
    let at = certificate.get(96..128).map(|word| U256::try_from_be_slice(word).unwrap_or_default());
    let is_fourth = at == Some(U256::from(192));
    let value = structure(is_fourth).abi_decode(certificate);
    let Ok(DynSolValue::Tuple(mut values)) = value else {
        return Err(malformed("ABI-encoded, of version 3 or 4"));
    };
    let mut forms = vec![versioned(if is_fourth { 3 } else { 2 }, &values)];
    // Decoding does not look at what numbers have above their size; this does.
    to_abi(&forms[0])?;
    if !is_fourth {
        values.swap(0, 1);
        forms.push(versioned(1, &values));
    }
    Ok(forms)
}

fn versioned(byte: u8, values: &[DynSolValue]) -> Vec<u8> {
    let mut certificate = vec![byte];
    write_list(values, &mut certificate);
    certificate
}

fn swap(fields: &mut DynSolType) {
    if let DynSolType::Tuple(fields) = fields {
        fields.swap(0, 1);
    }
}

fn malformed(rule: &str) -> Error {
    Error::Availability(format!("EigenDA's certificate is not {rule}"))
}

/// Takes a value of a type off the front.
fn read(kind: &DynSolType, rlp: &mut &[u8]) -> RlpResult<DynSolValue> {
    Ok(match kind {
        DynSolType::Uint(bits) => {
            let value = U256::decode(rlp)?;
            if value.bit_len() > *bits {
                return Err(RlpError::Overflow);
            }
            DynSolValue::Uint(value, *bits)
        }
        DynSolType::FixedBytes(size) => {
            let bytes = Header::decode_bytes(rlp, false)?;
            if bytes.len() != *size || *size != 32 {
                return Err(RlpError::UnexpectedLength);
            }
            DynSolValue::FixedBytes(alloy::primitives::B256::from_slice(bytes), *size)
        }
        DynSolType::Bytes => DynSolValue::Bytes(Header::decode_bytes(rlp, false)?.to_vec()),
        DynSolType::Array(item) => {
            let (mut list, mut items) = (Header::decode_bytes(rlp, true)?, Vec::new());
            while !list.is_empty() {
                items.push(read(item, &mut list)?);
            }
            DynSolValue::Array(items)
        }
        DynSolType::FixedArray(item, size) => {
            DynSolValue::FixedArray(read_all((0..*size).map(|_| &**item), rlp)?)
        }
        DynSolType::Tuple(fields) => DynSolValue::Tuple(read_all(fields.iter(), rlp)?),
        _ => return Err(RlpError::Custom("a type that certificates do not have")),
    })
}

/// Takes a list off the front that holds one value of each type and nothing else.
fn read_all<'a>(
    kinds: impl Iterator<Item = &'a DynSolType>,
    rlp: &mut &[u8],
) -> RlpResult<Vec<DynSolValue>> {
    let mut list = Header::decode_bytes(rlp, true)?;
    let values = kinds.map(|kind| read(kind, &mut list)).collect::<RlpResult<_>>()?;
    if list.is_empty() {
        Ok(values)
    } else {
        Err(RlpError::ListLengthMismatch { expected: 0, got: list.len() })
    }
}

fn write_list(values: &[DynSolValue], out: &mut Vec<u8>) {
    let mut content = Vec::new();
    for value in values {
        write(value, &mut content);
    }
    Header { list: true, payload_length: content.len() }.encode(out);
    out.extend(content);
}

fn write(value: &DynSolValue, out: &mut Vec<u8>) {
    match value {
        DynSolValue::Uint(value, _) => value.encode(out),
        DynSolValue::FixedBytes(word, size) => word[..*size].encode(out),
        DynSolValue::Bytes(bytes) => bytes.as_slice().encode(out),
        DynSolValue::Array(items) | DynSolValue::FixedArray(items) | DynSolValue::Tuple(items) => {
            write_list(items, out);
        }
        _ => unreachable!("`structure` has no other type"),
    }
}

#[cfg(test)]
mod tests {
    use alloy::hex;
    use proptest::prelude::*;

    use super::*;

    /// In the encodings of EigenDA's own library; see `eigenda/vectors`.
    fn vector(name: &str) -> Vec<u8> {
        let text = include_str!("../../../../test/vectors/eigenda_certificate.json");
        let vector: serde_json::Value = serde_json::from_str(text).unwrap();
        hex::decode(vector[name].as_str().unwrap()).unwrap()
    }

    /// Of version 2, made by eigenda-proxy 1.8.2 in memory mode.
    fn second() -> Vec<u8> {
        hex::decode(include_str!("certificate.hex").trim()).unwrap()
    }

    #[test]
    fn the_encodings_are_those_of_eigendas_library() {
        let (rlp, abi) = (vector("rlp"), vector("abi"));
        assert_eq!(to_abi(&rlp).unwrap(), abi);
        assert_eq!(from_abi(&abi).unwrap()[0], rlp);
    }

    #[test]
    fn version_two_is_version_three_with_two_fields_the_other_way_round() {
        let abi = vector("abi");
        let swapped = from_abi(&abi).unwrap().remove(1);
        assert_eq!(swapped[0], 1);
        assert_eq!(to_abi(&swapped).unwrap(), abi);
        let abi = to_abi(&second()).unwrap();
        assert_eq!(from_abi(&abi).unwrap()[1], second());
    }

    #[test]
    fn version_four_has_a_number_behind() {
        let mut list = &vector("rlp")[1..];
        let content = [Header::decode_bytes(&mut list, true).unwrap(), &[7]].concat();
        let mut fourth = vec![3];
        Header { list: true, payload_length: content.len() }.encode(&mut fourth);
        fourth.extend(content);
        let abi = to_abi(&fourth).unwrap();
        assert_eq!(from_abi(&abi).unwrap(), [fourth]);
        // One word more than version 3, before everything that the words point to.
        assert_eq!(abi.len(), vector("abi").len() + 32);
    }

    #[test]
    fn other_versions_and_lengths_are_refused() {
        for whole in [second(), vector("rlp")] {
            for version in [0, 4, 255] {
                to_abi(&[&[version], &whole[1..]].concat()).unwrap_err();
            }
            to_abi(&[&[3 - whole[0]], &whole[1..]].concat()).unwrap_err();
            to_abi(&[&whole[..], &[0]].concat()).unwrap_err();
            for end in 0..whole.len() {
                to_abi(&whole[..end]).unwrap_err();
            }
        }
        for end in (0..vector("abi").len()).step_by(32) {
            from_abi(&vector("abi")[..end]).unwrap_err();
        }
        from_abi(&[0; MAX_ABI_CERTIFICATE + 1]).unwrap_err();
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            at in 0_usize..2_000,
            byte: u8,
        ) {
            let _ = (to_abi(&bytes), from_abi(&bytes));
            let (mut rlp, mut abi) = (second(), vector("abi"));
            let (i, j) = (at % rlp.len(), at % abi.len());
            (rlp[i], abi[j]) = (byte, byte);
            if let Ok(abi) = to_abi(&rlp) {
                prop_assert!(from_abi(&abi).unwrap().contains(&rlp));
            }
            if let Ok(all) = from_abi(&abi) {
                // An ABI encoding with other offsets may be of the same fields.
                prop_assert_eq!(from_abi(&to_abi(&all[0]).unwrap()).unwrap(), all);
            }
        }
    }
}
