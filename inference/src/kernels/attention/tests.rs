use rand::{Rng, SeedableRng};

use super::{backward::ScoreGradients, *};
use crate::kernels::{Packed, at_every_level, dispatch_at};

#[test]
fn every_level_gives_the_same_bits() {
    let (rows, first, key_dim, value_dim) = (21, 13, 20, 24);
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut random = |count: usize, width: usize| -> Vec<f32> {
        (0..count * width).map(|_| rng.random_range(-2.0f32..2.0)).collect()
    };
    let length = rows + first;
    let (q, k) = (random(rows, key_dim), random(length, key_dim));
    let (v, d_out) = (random(length, value_dim), random(rows, value_dim));
    let plain = HeadShape {
        first,
        one_token: false,
        key_dim,
        value_dim,
        scale: 0.2,
        softcap: None,
        window: None,
        slopes: &[],
    };
    let rich = HeadShape { softcap: Some(3.0), window: Some(9), slopes: &[0.25], ..plain };
    for shape in [plain, rich] {
        let q = Rows::whole(&q, key_dim);
        let head = PackedHead::new(Rows::whole(&k, key_dim), Rows::whole(&v, value_dim));
        let stride = length.next_multiple_of(LANES);
        at_every_level(rows * value_dim, |level, out| {
            let weights = &mut vec![0.0; BLOCK * stride];
            dispatch_at(level, Forward { shape, q, head: &head, stride, weights, out });
        });

        let (k, v) = (&k[..rows * key_dim], &v[..rows * value_dim]);
        let values = Rows::whole(v, value_dim);
        let head = PackedHead::new(Rows::whole(k, key_dim), values);
        let values = Packed::from_transposed(values);
        let stride = rows.next_multiple_of(LANES);
        at_every_level(2 * rows * stride, |level, out| {
            let (weights, d_scores) = out.split_at_mut(rows * stride);
            let shape = HeadShape { first: 0, ..shape };
            let (head, values, d_out) = (&head, &values, Rows::whole(&d_out, value_dim));
            let kernel =
                ScoreGradients { shape, q, head, values, d_out, stride, weights, d_scores };
            dispatch_at(level, kernel);
        });
    }
}
