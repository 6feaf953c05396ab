use attribution::{
    Error,
    estimate::{Projector, ProjectorConfig, SiteGradient, SiteShape},
};
use rand::{SeedableRng, rngs::StdRng};

use super::{Gradient, dot};

const SHAPES: [SiteShape; 3] = [
    SiteShape { rank: 4, d_in: 96, d_out: 64 },
    SiteShape { rank: 8, d_in: 200, d_out: 72 },
    SiteShape { rank: 1, d_in: 30, d_out: 300 },
];

fn projector(seed: u8, dim: usize, side: usize) -> Projector {
    Projector::new(&SHAPES, ProjectorConfig { seed: [seed; 32], dim, side }).unwrap()
}

/// Over many seeds the mean of the projected inner product is the true one, and its spread is near
/// `|x| |y| (1/d + 1/k)^(1/2)`, the sum of both maps' Johnson-Lindenstrauss errors.
#[test]
fn inner_products_survive_both_maps() {
    let mut rng = StdRng::seed_from_u64(7);
    let (x, noise) = (Gradient::random(&SHAPES, &mut rng), Gradient::random(&SHAPES, &mut rng));
    let mut y = Gradient::random(&SHAPES, &mut rng);
    for ((y, x), noise) in y.0.iter_mut().zip(&x.0).zip(&noise.0) {
        y.1 = x.1.iter().zip(&noise.1).map(|(x, n)| 0.6 * x + 0.8 * n).collect();
        y.2 = x.2.iter().zip(&noise.2).map(|(x, n)| 0.6 * x + 0.8 * n).collect();
    }
    let exact = dot(&x.flat(), &y.flat());
    let size = (dot(&x.flat(), &x.flat()) * dot(&y.flat(), &y.flat())).sqrt();
    for (dim, side) in [(256, 32), (1024, 64), (1024, 512)] {
        let errors: Vec<f64> = (0..100)
            .map(|seed| {
                let p = projector(seed, dim, side);
                dot(&p.project(&x.sites()).unwrap(), &p.project(&y.sites()).unwrap()) - exact
            })
            .collect();
        let mean = errors.iter().sum::<f64>() / 100.0 / size;
        let spread = (errors.iter().map(|e| e * e).sum::<f64>() / 100.0).sqrt() / size;
        let kept = if side < 300 { 1.0 / side as f64 } else { 0.0 };
        let expected = (1.0 / dim as f64 + kept).sqrt();
        assert!(mean.abs() < 0.4 * expected, "d {dim} k {side}: mean {mean}");
        assert!(spread < 1.5 * expected, "d {dim} k {side}: spread {spread}, {expected}");
        assert!(spread > 0.01 * expected, "d {dim} k {side}: spread {spread}");
    }
}

#[test]
fn short_gradients_are_copied_unchanged() {
    let shapes = [SiteShape { rank: 2, d_in: 3, d_out: 5 }];
    let projector =
        Projector::new(&shapes, ProjectorConfig { seed: [1; 32], dim: 16, side: 8 }).unwrap();
    let gradient = Gradient::random(&shapes, &mut StdRng::seed_from_u64(1));
    assert_eq!(projector.project(&gradient.sites()).unwrap(), gradient.flat());
    // B has 5 x 2 numbers, A has 2 x 3.
    assert_eq!(projector.blocks(), [0..10, 10..16]);
}

#[test]
fn the_seed_fixes_every_bit_and_another_seed_changes_them() {
    let gradient = Gradient::random(&SHAPES, &mut StdRng::seed_from_u64(3));
    let sketch = |seed| projector(seed, 256, 32).project(&gradient.sites()).unwrap();
    assert_eq!(sketch(1), sketch(1));
    assert_ne!(sketch(1), sketch(2));
}

#[test]
fn any_thread_gives_the_same_bits() {
    use rayon::prelude::*;

    let projector = projector(5, 512, 64);
    let mut rng = StdRng::seed_from_u64(4);
    let gradients: Vec<Gradient> = (0..16).map(|_| Gradient::random(&SHAPES, &mut rng)).collect();
    let alone: Vec<Vec<f32>> =
        gradients.iter().map(|g| projector.project(&g.sites()).unwrap()).collect();
    let together: Vec<Vec<f32>> =
        gradients.par_iter().map(|g| projector.project(&g.sites()).unwrap()).collect();
    assert_eq!(alone, together);
}

#[test]
fn a_sum_of_gradients_is_sketched_to_the_sum_of_sketches() {
    let mut rng = StdRng::seed_from_u64(11);
    let (x, y) = (Gradient::random(&SHAPES, &mut rng), Gradient::random(&SHAPES, &mut rng));
    let add = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<f32>>();
    let both = x.0.iter().zip(&y.0);
    let sum = Gradient(both.map(|(x, y)| (x.0, add(&x.1, &y.1), add(&x.2, &y.2))).collect());
    let p = projector(9, 256, 32);
    let whole = p.project(&sum.sites()).unwrap();
    let parts = add(&p.project(&x.sites()).unwrap(), &p.project(&y.sites()).unwrap());
    for (whole, parts) in whole.iter().zip(parts) {
        assert!((whole - parts).abs() < 1e-4, "{whole} {parts}");
    }
}

#[test]
fn bad_gradients_are_refused() {
    let shape = SiteShape { rank: 1, d_in: 2, d_out: 2 };
    let projector = Projector::new(&[shape], ProjectorConfig { dim: 16, ..Default::default() });
    let projector = projector.unwrap();
    let site = |a, b| SiteGradient { a, b, rank: 1, d_in: 2, d_out: 2 };
    let project = |sites: &[SiteGradient<'_>]| projector.project(sites);
    assert!(matches!(project(&[]), Err(Error::Shape { .. })));
    assert!(matches!(project(&[site(&[1.0], &[1.0, 2.0])]), Err(Error::Shape { .. })));
    assert!(matches!(project(&[site(&[1.0, 2.0], &[1.0])]), Err(Error::Shape { .. })));
    let wide = SiteGradient { d_in: 3, ..site(&[1.0, 2.0, 3.0], &[1.0, 2.0]) };
    assert!(matches!(project(&[wide]), Err(Error::Shape { .. })));
    let nan = project(&[site(&[f32::NAN, 0.0], &[0.0, 0.0])]);
    assert!(matches!(nan, Err(Error::NotFinite("gradient"))));
    assert_eq!(project(&[site(&[0.0; 2], &[0.0; 2])]).unwrap(), vec![0.0; 16]);
}

#[test]
fn bad_settings_are_refused() {
    let shape = SiteShape { rank: 1, d_in: 2, d_out: 2 };
    let with = |shapes: &[SiteShape], dim, side| {
        Projector::new(shapes, ProjectorConfig { seed: [0; 32], dim, side })
    };
    for (shapes, dim, side) in [
        (vec![shape], 15, 64),
        (vec![shape], 8193, 64),
        (vec![shape], 1024, 0),
        (vec![shape], 1024, 12),
        (vec![], 1024, 64),
        (vec![SiteShape { rank: 0, ..shape }], 1024, 64),
        (vec![SiteShape { d_in: usize::MAX, ..shape }], 1024, 64),
        (vec![SiteShape { d_in: 1 << 20, rank: 1024, ..shape }], 1024, 1 << 20),
    ] {
        let refused = with(&shapes, dim, side);
        assert!(matches!(refused, Err(Error::Setting { .. })), "{dim} {side} {shapes:?}");
    }
}

/// Expected values from an independent program (Python, its own ChaCha20) that follows the
/// documented rule.
#[test]
fn signs_and_buckets_are_the_documented_ones() {
    let shapes =
        [SiteShape { rank: 2, d_in: 12, d_out: 20 }, SiteShape { rank: 1, d_in: 8, d_out: 9 }];
    let seed = std::array::from_fn(|i| i as u8);
    let projector = Projector::new(&shapes, ProjectorConfig { seed, dim: 16, side: 8 }).unwrap();
    let ramp = |n: usize, period: usize, middle: f32| -> Vec<f32> {
        (0..n).map(|i| (i % period) as f32 - middle).collect()
    };
    let gradient =
        |s: SiteShape| (s, ramp(s.rank * s.d_in, 7, 3.0), ramp(s.d_out * s.rank, 5, 2.0));
    let sketch = projector.project(&Gradient(shapes.map(gradient).to_vec()).sites()).unwrap();
    let expected = [
        5.12132,
        0.353553,
        -4.010408,
        -7.242641,
        0.0,
        -5.596194,
        2.474874,
        5.12132,
        1.767767,
        -1.06066,
        9.192388,
        -2.767767,
        -2.12132,
        4.949747,
        std::f32::consts::SQRT_2,
        -2.353553,
    ];
    for (got, expected) in sketch.iter().zip(expected) {
        assert!((got - expected).abs() < 2e-6, "{sketch:?}");
    }
}
