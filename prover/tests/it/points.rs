use ark_ec::AffineRepr;
use prover::{
    Error, G1Affine, G2Affine,
    evm::{G1, G2},
};

use crate::SRS;

#[test]
fn generators_are_those_of_the_precompiles() {
    let hex = |text: &str| {
        let bytes = hex::decode(text).unwrap();
        <[u8; 32]>::try_from(bytes).unwrap()
    };
    let generator = G1::from(G1Affine::generator());
    assert_eq!((generator.x[31], generator.y[31]), (1, 2));
    // EIP-197's generator, imaginary parts first.
    let expected = G2 {
        x1: hex("198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2"),
        x0: hex("1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed"),
        y1: hex("090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b"),
        y0: hex("12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa"),
    };
    assert_eq!(G2::from(G2Affine::generator()), expected);
}

#[test]
fn points_read_back_as_themselves() {
    for point in [G1Affine::identity(), SRS.g1()[0], SRS.g1()[7]] {
        assert_eq!(G1Affine::try_from(G1::from(point)).unwrap(), point);
    }
    for point in [G2Affine::identity(), SRS.tau_g2()] {
        assert_eq!(G2Affine::try_from(G2::from(point)).unwrap(), point);
    }
}

#[test]
fn coordinates_off_the_curve_or_above_the_modulus_are_refused() {
    let refused = |point| matches!(G1Affine::try_from(point), Err(Error::InvalidPoint));
    let good = G1::from(SRS.g1()[1]);
    let mut wrong = good;
    wrong.y[31] ^= 1;
    assert!(refused(wrong));
    assert!(refused(G1 { x: [0xff; 32], y: good.y }));
    let mut g2 = SRS.tau_g2_evm();
    g2.x0[31] ^= 1;
    assert!(matches!(G2Affine::try_from(g2), Err(Error::InvalidPoint)));
}
