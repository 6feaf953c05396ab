use proptest::prelude::*;
use rand::{Rng, SeedableRng};

use super::*;
use crate::kernels::matmul;

const QUANTS: [(WeightFormat, GgmlDType); 3] = [
    (WeightFormat::Q8_0, GgmlDType::Q8_0),
    (WeightFormat::Q4K, GgmlDType::Q4K),
    (WeightFormat::Q6K, GgmlDType::Q6K),
];

fn random(seed: u64, count: usize) -> Vec<f32> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The f32 product with the widened weight.
fn reference(weight: &Weight, x: &[f32]) -> Vec<f32> {
    let values = weight.to_values();
    let packed = Packed::from_transposed(Rows::whole(&values, weight.d_in()));
    matmul(Rows::whole(x, weight.d_in()), &packed)
}

fn every_float_form(values: &[f32], depth: usize) -> Vec<Weight> {
    let halves = |to: fn(f32) -> u16| values.iter().map(|&value| to(value)).collect::<Vec<_>>();
    let bf16 = halves(|value| half::bf16::from_f32(value).to_bits());
    let f16 = halves(|value| half::f16::from_f32(value).to_bits());
    vec![
        Weight::from_values(values, depth, WeightFormat::F32).unwrap(),
        Weight::from_values(values, depth, WeightFormat::F8E4M3).unwrap(),
        Weight::from_half(&bf16, depth, Half::Bf16).unwrap(),
        Weight::from_half(&f16, depth, Half::F16).unwrap(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn float_forms_have_the_bits_of_the_widened_product(
        seed: u64, rows in 1usize..20, depth in 1usize..300, columns in 1usize..50,
    ) {
        let (x, w) = (random(seed, rows * depth), random(!seed, columns * depth));
        for weight in every_float_form(&w, depth) {
            let ours = weight.product(Rows::whole(&x, depth));
            prop_assert_eq!(bits(&ours), bits(&reference(&weight, &x)));
        }
    }

    #[test]
    fn quantised_products_are_within_half_a_step_of_the_widened_product(
        seed: u64, rows in 1usize..20, depth in 1usize..600, columns in 1usize..50,
    ) {
        let (x, w) = (random(seed, rows * depth), random(!seed, columns * depth));
        for (format, _) in QUANTS {
            let weight = Weight::from_values(&w, depth, format).unwrap();
            let (values, ours) = (weight.to_values(), weight.product(Rows::whole(&x, depth)));
            for (at, ours) in ours.iter().enumerate() {
                let (x, w) = (&x[at / columns * depth..][..depth], &values[at % columns * depth..][..depth]);
                let blocks = x.chunks(32).zip(w.chunks(32));
                let bound: f64 = blocks.clone().map(|(x, w)| {
                    let step = x.iter().fold(0.0f32, |top, x| top.max(x.abs())) / 127.0;
                    f64::from(step) / 2.0 * w.iter().map(|w| f64::from(w.abs())).sum::<f64>()
                }).sum();
                let exact: f64 = blocks.map(|(x, w)| {
                    x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum::<f64>()
                }).sum();
                prop_assert!(
                    (f64::from(*ours) - exact).abs() <= 1.001 * bound + 1e-5,
                    "{:?} element {}: {} for {} within {}", format, at, ours, exact, bound
                );
            }
        }
    }

    #[test]
    fn backward_has_the_bits_of_the_product_with_the_widened_weight(
        seed: u64, rows in 1usize..20, depth in 1usize..300, columns in 1usize..600,
    ) {
        let (dy, w) = (random(seed, rows * columns), random(!seed, columns * depth));
        let mut weights = every_float_form(&w, depth);
        weights.extend(QUANTS.map(|(format, _)| Weight::from_values(&w, depth, format).unwrap()));
        for weight in weights {
            let whole = Packed::from_rows(Rows::whole(&weight.to_values(), depth));
            let expected = matmul(Rows::whole(&dy, columns), &whole);
            prop_assert_eq!(bits(&weight.backward(Rows::whole(&dy, columns))), bits(&expected));
        }
    }
}

#[test]
fn quantised_values_are_those_of_another_reader() {
    let (depth, columns) = (512, 37);
    let w = random(4, columns * depth);
    for (format, dtype) in QUANTS {
        let tensor = Tensor::from_slice(&w, (columns, depth), &Device::Cpu).unwrap();
        let theirs = QTensor::quantize(&tensor, dtype).unwrap().dequantize(&Device::Cpu).unwrap();
        let theirs = theirs.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let weight = Weight::from_values(&w, depth, format).unwrap();
        assert_eq!(weight.to_values(), theirs, "{format:?}");
    }
}

#[test]
fn rounding_errors_are_those_of_the_formats() {
    let w = random(5, 64 * 512);
    let error = |weight: &Weight| {
        let values = weight.to_values();
        let squares = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>();
        let wrong = squares(&mut values.iter().zip(&w).map(|(ours, w)| ours - w));
        (wrong / squares(&mut w.iter().copied())).sqrt()
    };
    // Uniform values: a step of 2 / 255, 2 / 63, 2 / 15 has the standard error step / sqrt 12, and
    // 3 bits of fraction one of 2^-4 / sqrt 3 at most, relative to the value.
    for (format, bound) in [
        (WeightFormat::Q8_0, 0.0045),
        (WeightFormat::Q6K, 0.018),
        (WeightFormat::Q4K, 0.075),
        (WeightFormat::F8E4M3, 0.036),
    ] {
        let relative = error(&Weight::from_values(&w, 512, format).unwrap());
        assert!(relative < bound && relative > bound / 4.0, "{format:?}: {relative}");
    }
}

#[test]
fn bytes_are_those_of_the_format() {
    let weight = |format| Weight::from_values(&vec![0.5; 768 * 768], 768, format).unwrap().bytes();
    let f16 = 2 * 768 * 768;
    assert_eq!(weight(WeightFormat::F32), 2 * f16);
    assert_eq!(weight(WeightFormat::Q8_0) * 16, f16 * 17 / 2);
    assert!(weight(WeightFormat::Q4K) * 100 <= f16 * 29);
    assert!(weight(WeightFormat::Q6K) * 100 <= f16 * 42);
    assert!(weight(WeightFormat::F8E4M3) * 100 <= f16 * 52);
}

#[test]
fn rows_are_those_of_the_whole() {
    let w = random(6, 50 * 40);
    for format in [WeightFormat::F32, WeightFormat::Q8_0, WeightFormat::F8E4M3] {
        let weight = Weight::from_values(&w, 40, format).unwrap();
        let whole = weight.to_values();
        for range in [0..1, 17..18, 15..34, 49..50] {
            assert_eq!(weight.rows(range.clone()), &whole[range.start * 40..range.end * 40]);
        }
    }
}

#[test]
fn misfits_are_errors() {
    for format in [WeightFormat::F32, WeightFormat::Q4K, WeightFormat::F8E4M3] {
        assert!(matches!(Weight::from_values(&[0.0; 7], 2, format), Err(Error::Shape(_))));
        assert!(matches!(Weight::from_values(&[], 2, format), Err(Error::Shape(_))));
    }
    assert!(matches!(Weight::from_half(&[0; 7], 2, Half::F16), Err(Error::Shape(_))));
    assert!(matches!(Weight::from_blocks(&[0; 35], 32, Quant::Q8_0), Err(Error::Weights(_))));
    let mut block = [0u8; 34];
    block[1] = 0x7c;
    assert!(matches!(Weight::from_blocks(&block, 32, Quant::Q8_0), Err(Error::Weights(_))));
}
