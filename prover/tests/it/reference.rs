//! Equality with EigenDA's own implementation.

use std::borrow::Cow;

use ark_ff::PrimeField;
use proptest::prelude::*;
use prover::{EIGENDA_TAU_G2, Fr, Polynomial, root_of_unity};
use rust_kzg_bn254_primitives::{
    blob::Blob,
    consts::{G2_TAU, PRIMITIVE_ROOTS_OF_UNITY},
    polynomial::PolynomialEvalForm,
};
use rust_kzg_bn254_prover::{kzg::KZG, srs::SRS};

use crate::SRS as OURS;

fn theirs() -> SRS<'static> {
    SRS { g1: Cow::Borrowed(OURS.g1()), order: 4096 }
}

#[test]
fn constants_are_eigendas() {
    assert_eq!(EIGENDA_TAU_G2, G2_TAU);
    for (log, root) in PRIMITIVE_ROOTS_OF_UNITY.into_iter().enumerate() {
        assert_eq!(root_of_unity(1 << log).unwrap(), root);
    }
    assert!(root_of_unity(1 << 29).is_err());
    assert!(root_of_unity(0).is_err());
    assert!(root_of_unity(24).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn commitments_to_blobs_are_equal(log in 3_u32..10, seed: u64) {
        let payload: Vec<u8> = (0..31_u64 << log)
            .map(|i| (i.wrapping_mul(seed | 1) >> 13) as u8)
            .collect();
        let blob = Blob::from_raw_data(&payload);
        let expected = KZG::new().commit_blob(&blob, &theirs()).unwrap();
        let symbols = blob.data().chunks_exact(32).map(Fr::from_be_bytes_mod_order).collect();
        let polynomial = Polynomial::interpolate(symbols).unwrap();
        prop_assert_eq!(OURS.commit(polynomial.coefficients()).unwrap(), expected);
    }

    #[test]
    fn witnesses_are_equal(log in 1_u32..8, at: prop::sample::Index, seed: u64) {
        let size = 1_usize << log;
        let values: Vec<_> = (0..size as u64).map(|i| Fr::from(i.wrapping_mul(seed))).collect();
        let index = at.index(size);
        let mut kzg = KZG::new();
        kzg.calculate_and_store_roots_of_unity(32 * size as u64).unwrap();
        let eval = PolynomialEvalForm::new(values.clone()).unwrap();
        let expected =
            kzg.compute_proof_with_known_z_fr_index(&eval, index as u64, &theirs()).unwrap();

        let polynomial = Polynomial::interpolate(values.clone()).unwrap();
        let (quotient, value) = polynomial.divide(polynomial.point(index).unwrap());
        prop_assert_eq!(value, values[index]);
        prop_assert_eq!(OURS.commit(&quotient).unwrap(), expected);
    }
}
