//! EigenDA's certificates as its proxy gives them in standard mode, read as far as the commitment.
//!
//! A certificate is a version byte, then RLP. The version byte is one less than the version of the
//! structures in EigenDA's contracts, whose fields the RLP lists hold in order:
//!
//! ```text
//! version 2 (byte 1):   [ inclusion, batch header, signatures, quorums ]
//! versions 3 and 4:     [ batch header, inclusion, signatures, quorums(, derivation version) ]
//! inclusion:            [ blob certificate, index, proof ]
//! blob certificate:     [ blob header, signature, relays ]
//! blob header:          [ version, quorums, blob commitment, hash of the payment header ]
//! blob commitment:      [ [x, y], length commitment, length proof, symbols ]
//! ```
//!
//! Version 1 (byte 0) is of EigenDA's first network, whose blobs are not ours.

use alloy::{
    primitives::U256,
    rlp::{Decodable, Header},
};

use crate::{Error, Result, chain::bindings::G1Point};

/// Longest certificate, in bytes: `DevCertVerifier` takes no more behind the attestation.
pub(super) const MAX_CERTIFICATE: usize = 16_384;

/// What a certificate says about its blob. Nothing here shows that it is true: that is for
/// EigenDA's proxy and contracts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobCommitment {
    /// KZG commitment to the blob's polynomial.
    pub commitment: G1Point,
    /// Field elements of the blob.
    pub symbols: u32,
}

impl BlobCommitment {
    /// Reads a certificate.
    ///
    /// # Errors
    /// [`Error::Availability`] if it is longer than 16 KiB, of an unknown version, or is not RLP
    /// of that version's form.
    pub fn of_certificate(certificate: &[u8]) -> Result<Self> {
        if certificate.len() > MAX_CERTIFICATE {
            return Err(Error::Availability(format!(
                "certificate of {} bytes, more than {MAX_CERTIFICATE}",
                certificate.len()
            )));
        }
        let Some((&version, mut rlp)) = certificate.split_first() else {
            return Err(Error::Availability("certificate is empty".into()));
        };
        let inclusion = match version {
            1 => 0,
            2 | 3 => 1,
            _ => {
                return Err(Error::Availability(format!("certificate of version byte {version}")));
            }
        };
        read(&mut rlp, inclusion)
            .map_err(|e| Error::Availability(format!("certificate of version byte {version}: {e}")))
    }
}

/// Goes down to the blob commitment; `inclusion` is the place of the inclusion proof.
fn read(rlp: &mut &[u8], inclusion: usize) -> alloy::rlp::Result<BlobCommitment> {
    let mut certificate = list(rlp)?;
    if !rlp.is_empty() {
        return Err(alloy::rlp::Error::UnexpectedLength);
    }
    skip(&mut certificate, inclusion)?;
    let mut inclusion = list(&mut certificate)?;
    let mut blob_certificate = list(&mut inclusion)?;
    let mut header = list(&mut blob_certificate)?;
    skip(&mut header, 2)?;
    let mut commitment = list(&mut header)?;
    let mut point = list(&mut commitment)?;
    let (x, y) = (U256::decode(&mut point)?, U256::decode(&mut point)?);
    skip(&mut commitment, 2)?;
    let symbols = u32::decode(&mut commitment)?;
    if !point.is_empty() || !commitment.is_empty() {
        return Err(alloy::rlp::Error::UnexpectedLength);
    }
    Ok(BlobCommitment { commitment: G1Point { x, y }, symbols })
}

/// Takes a list off the front and returns what is in it.
fn list<'a>(rlp: &mut &'a [u8]) -> alloy::rlp::Result<&'a [u8]> {
    Header::decode_bytes(rlp, true)
}

/// Takes items off the front.
fn skip(rlp: &mut &[u8], items: usize) -> alloy::rlp::Result<()> {
    for _ in 0..items {
        let length = Header::decode(rlp)?.payload_length;
        // A header is only decoded when all its payload is there.
        *rlp = rlp.get(length..).ok_or(alloy::rlp::Error::InputTooShort)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made by eigenda-proxy 1.8.2 in memory mode for 31 * 63 bytes.
    const CERTIFICATE: &str = include_str!("certificate.hex");

    fn certificate() -> Vec<u8> {
        alloy::hex::decode(CERTIFICATE.trim()).unwrap()
    }

    #[test]
    fn a_certificate_of_the_proxy_is_read() {
        let read = BlobCommitment::of_certificate(&certificate()).unwrap();
        assert_eq!(read.symbols, 64);
        let x = "08e76e2df7980246b7281c0207c4dd181d8bd5c83c06d51692d8fc23dcdd310a";
        let y = "264ed14db2857df6cfa19f29abae109a7af0987c27c3f297225b98ad61262aa9";
        let number = |hex| U256::from_str_radix(hex, 16).unwrap();
        assert_eq!(read.commitment, G1Point { x: number(x), y: number(y) });
    }

    /// In the encoding of EigenDA's own library; see `eigenda/vectors`.
    fn third() -> Vec<u8> {
        let vector: serde_json::Value =
            serde_json::from_str(include_str!("../../../../test/vectors/eigenda_certificate.json"))
                .unwrap();
        alloy::hex::decode(vector["rlp"].as_str().unwrap()).unwrap()
    }

    #[test]
    fn versions_three_and_four_have_the_batch_header_first() {
        let third = third();
        let commitment = G1Point { x: U256::ONE, y: U256::from(2) };
        let expected = BlobCommitment { commitment, symbols: 4096 };
        assert_eq!(BlobCommitment::of_certificate(&third).unwrap(), expected);
        // Version 4 has a number behind.
        let content = [list(&mut &third[1..]).unwrap(), &[0x80]].concat();
        let mut fourth = vec![3];
        Header { list: true, payload_length: content.len() }.encode(&mut fourth);
        fourth.extend(content);
        assert_eq!(BlobCommitment::of_certificate(&fourth).unwrap(), expected);
        // The places of one version are not those of another.
        BlobCommitment::of_certificate(&[&[1], &third[1..]].concat()).unwrap_err();
        BlobCommitment::of_certificate(&[&[2], &certificate()[1..]].concat()).unwrap_err();
    }

    #[test]
    fn other_versions_and_lengths_are_refused() {
        let whole = certificate();
        for version in [0, 4, 255] {
            let mut other = whole.clone();
            other[0] = version;
            let error = BlobCommitment::of_certificate(&other).unwrap_err().to_string();
            assert!(error.contains(&format!("version byte {version}")), "{error}");
        }
        for end in 0..whole.len() {
            BlobCommitment::of_certificate(&whole[..end]).unwrap_err();
        }
        BlobCommitment::of_certificate(&[whole, vec![0]].concat()).unwrap_err();
        BlobCommitment::of_certificate(&[1; MAX_CERTIFICATE + 1]).unwrap_err();
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_without_panic(
            version in 1_u8..4,
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            at in 0_usize..414,
            byte: u8,
        ) {
            let _ = BlobCommitment::of_certificate(&[vec![version], bytes].concat());
            let mut altered = certificate();
            altered[at] = byte;
            let _ = BlobCommitment::of_certificate(&altered);
        }
    }
}
