//! Directions that sketches keep.

use attribution::{
    Error,
    estimate::{
        BASIS_ROWS, Basis, BasisBuilder, IndexBuilder, InfluenceIndex, Projector, ProjectorConfig,
        SiteShape, basis_rows,
    },
    settle::keccak,
};
use rand::{SeedableRng, rngs::StdRng};

use super::{Gradient, dot, index::config, source};

const SHAPES: [SiteShape; 2] =
    [SiteShape { rank: 2, d_in: 6, d_out: 5 }, SiteShape { rank: 3, d_in: 4, d_out: 7 }];

const fn sketches(dim: usize) -> ProjectorConfig {
    ProjectorConfig { seed: [4; 32], dim, side: 64 }
}

fn learn(shapes: &[SiteShape], config: ProjectorConfig, rows: &[Gradient]) -> Basis {
    let mut builder = BasisBuilder::new(shapes, config).unwrap();
    rows.iter().for_each(|row| builder.push(&row.sites()).unwrap());
    builder.finish().unwrap()
}

/// Numbers in -1..=1 from a linear congruential generator (Knuth's constants).
fn draw(state: &mut u64, n: usize) -> Vec<f32> {
    let next = |_| {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((((*state >> 33) % 2001) as i64 - 1000) as f64 / 1000.0) as f32
    };
    (0..n).map(next).collect()
}

/// Gradients whose columns halve along the long side and grow with the rank.
fn sloping(state: &mut u64) -> Gradient {
    let site = |shape: SiteShape| {
        let SiteShape { rank, d_in, d_out } = shape;
        let (mut a, mut b) = (draw(state, rank * d_in), draw(state, d_out * rank));
        let gain = |side: usize, rank: usize| 0.5f32.powi(side as i32) * (1 + rank) as f32;
        a.iter_mut().enumerate().for_each(|(at, x)| *x *= gain(at % d_in, at / d_in));
        b.iter_mut().enumerate().for_each(|(at, x)| *x *= gain(at / rank, at % rank));
        (shape, a, b)
    };
    Gradient(SHAPES.map(site).to_vec())
}

/// From an independent program (numpy's `eigh`, ChaCha20 by RFC 8439) that follows the documented rule:
/// twelve pairs of directions and four buckets, none of them in the first tensor. The sign of an
/// eigenvector is anyone's choice; what it leaves has one.
#[test]
fn sketches_of_a_basis_are_the_documented_ones() {
    let mut state = 1;
    let rows: Vec<Gradient> = (0..12).map(|_| sloping(&mut state)).collect();
    let basis = learn(&SHAPES, sketches(16), &rows);
    let projector = Projector::with_basis(&SHAPES, sketches(16), basis).unwrap();
    let expected = [
        1.00862, 0.261787, 0.013519, 0.653792, 0.712825, 2.590182, 0.619017, 0.333259, 0.172237,
        0.859552, 0.437679, 2.034287, 1.126198, 2.30901, -0.467517, -0.819259,
    ];
    let sketch = projector.project(&rows[3].sites()).unwrap();
    for (at, (got, expected)) in sketch.iter().zip(expected).enumerate() {
        let hashed = [4, 10, 14, 15].contains(&at);
        let got = f64::from(if hashed { *got } else { got.abs() });
        assert!((got - expected).abs() < 2e-5, "{at}: {sketch:?}");
    }
}

#[test]
fn a_basis_of_all_directions_keeps_every_product() {
    let mut rng = StdRng::seed_from_u64(1);
    let rows: Vec<Gradient> = (0..40).map(|_| Gradient::random(&SHAPES, &mut rng)).collect();
    let entries: usize = SHAPES.iter().map(|s| (s.d_in + s.d_out) * s.rank).sum();
    let projector = Projector::new(&SHAPES, sketches(entries)).unwrap();
    let basis = learn(&SHAPES, sketches(entries), &rows);
    let rotated = Projector::with_basis(&SHAPES, sketches(entries), basis).unwrap();
    let project = |p: &Projector, row: &Gradient| p.project(&row.sites()).unwrap();
    for pair in rows.windows(2) {
        let [copied, turned] =
            [&projector, &rotated].map(|p| dot(&project(p, &pair[0]), &project(p, &pair[1])));
        assert!((copied - turned).abs() < 1e-4, "{copied} {turned}");
        assert!(turned != copied || project(&rotated, &pair[0]) != project(&projector, &pair[0]));
    }
}

/// Rows of few directions under noise of a tenth, as gradients are: products of rows that the basis
/// has not seen are kept a fifth as wrongly as by a hashed map.
#[test]
fn rows_of_few_directions_are_kept_better_than_by_hashing() {
    let shapes = [SiteShape { rank: 2, d_in: 120, d_out: 80 }; 3];
    let mut rng = StdRng::seed_from_u64(5);
    let themes: Vec<Gradient> = (0..4).map(|_| Gradient::random(&shapes, &mut rng)).collect();
    let mut row = || {
        let mut row = Gradient::random(&shapes, &mut rng);
        let weights = Gradient::random(&[SiteShape { rank: 1, d_in: 4, d_out: 1 }], &mut rng);
        for (at, site) in row.0.iter_mut().enumerate() {
            for (part, theme) in [(&mut site.1, 0), (&mut site.2, 1)] {
                for (k, x) in part.iter_mut().enumerate() {
                    let of = |t: &Gradient| if theme == 0 { t.0[at].1[k] } else { t.0[at].2[k] };
                    let mix = themes.iter().zip(&weights.0[0].1).map(|(t, w)| w * of(t));
                    *x = 0.1 * *x + mix.sum::<f32>();
                }
            }
        }
        row
    };
    let (seen, others): (Vec<_>, Vec<_>) =
        ((0..64).map(|_| row()).collect(), (0..20).map(|_| row()).collect());
    let config = ProjectorConfig { side: 128, ..sketches(256) };
    let learned = Projector::with_basis(&shapes, config, learn(&shapes, config, &seen)).unwrap();
    let hashed = Projector::new(&shapes, config).unwrap();
    let error = |p: &Projector| {
        let off = |pair: &[Gradient]| {
            let [x, y] = [0, 1].map(|k| p.project(&pair[k].sites()).unwrap());
            let [a, b] = [pair[0].flat(), pair[1].flat()];
            ((dot(&x, &y) - dot(&a, &b)) / (dot(&a, &a) * dot(&b, &b)).sqrt()).abs()
        };
        others.windows(2).map(off).sum::<f64>()
    };
    let (learned, hashed) = (error(&learned), error(&hashed));
    assert!(learned < 0.2 * hashed, "{learned} {hashed}");
}

#[test]
fn a_long_gradient_turns_the_basis_no_more_than_a_short_one() {
    let mut rng = StdRng::seed_from_u64(2);
    let mut rows: Vec<Gradient> = (0..20).map(|_| Gradient::random(&SHAPES, &mut rng)).collect();
    let before = learn(&SHAPES, sketches(16), &rows);
    for (_, a, b) in &mut rows[7].0 {
        a.iter_mut().chain(b).for_each(|x| *x *= 1024.0);
    }
    let after = learn(&SHAPES, sketches(16), &rows);
    let project = |basis: &Basis| {
        let projector = Projector::with_basis(&SHAPES, sketches(16), basis.clone()).unwrap();
        projector.project(&rows[3].sites()).unwrap()
    };
    for (x, y) in project(&before).iter().zip(project(&after)) {
        assert!((x.abs() - y.abs()).abs() < 1e-4, "{x} {y}");
    }
}

#[test]
fn a_sample_is_drawn_by_the_seed_and_counts_equal_rows_once() {
    let hash = |n: u64| keccak(&[&n.to_be_bytes()]);
    let hashes: Vec<_> = (0..1000).map(hash).collect();
    let drawn = basis_rows(&[1; 32], hashes.iter().copied());
    assert_eq!(drawn.len(), BASIS_ROWS);
    assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
    assert_ne!(drawn, basis_rows(&[2; 32], hashes.iter().copied()));
    // Rows that come behind push others out, and change nothing else.
    let fewer = basis_rows(&[1; 32], hashes[..500].iter().copied());
    assert!(drawn.iter().filter(|place| **place < 500).all(|place| fewer.contains(place)));
    let copied = hashes.iter().chain(&hashes).copied();
    assert_eq!(basis_rows(&[1; 32], copied), drawn);
    assert_eq!(basis_rows(&[1; 32], hashes[..3].iter().copied()), [0, 1, 2]);
}

#[test]
fn bases_of_others_are_refused() {
    let mut rng = StdRng::seed_from_u64(3);
    let rows: Vec<Gradient> = (0..9).map(|_| Gradient::random(&SHAPES, &mut rng)).collect();
    let basis = learn(&SHAPES, sketches(16), &rows);
    let with = |shapes: &[SiteShape], config| Projector::with_basis(shapes, config, basis.clone());
    assert!(matches!(with(&SHAPES, sketches(32)), Err(Error::Shape { .. })));
    assert!(matches!(with(&SHAPES[..1], sketches(16)), Err(Error::Setting { .. })));
    let other = [SHAPES[1], SHAPES[0]];
    assert!(matches!(with(&other, sketches(16)), Err(Error::Setting { .. })));
    let small = BasisBuilder::new(&SHAPES, sketches(64));
    assert!(matches!(small, Err(Error::Setting { .. })), "shorter gradients than sketches");
    let empty = BasisBuilder::new(&SHAPES, sketches(16)).unwrap();
    assert!(matches!(empty.finish(), Err(Error::NoSignal)));
    let mut builder = BasisBuilder::new(&SHAPES, sketches(16)).unwrap();
    let mut bad = Gradient::random(&SHAPES, &mut rng);
    bad.0[0].1[0] = f32::NAN;
    assert!(matches!(builder.push(&bad.sites()), Err(Error::NotFinite(_))));
}

#[test]
fn an_index_keeps_its_basis_in_its_file() {
    use super::index::{SHAPES, SKETCHES, gradients};

    let rows = gradients(30, 1);
    let projector =
        Projector::learned(&SHAPES, SKETCHES, rows.iter().map(Gradient::sites)).unwrap();
    assert!(projector.basis().is_some());
    let mut builder = IndexBuilder::new(projector.clone(), config()).unwrap();
    for (place, row) in (0u32..).zip(&rows) {
        builder.push(source(place, 2, place), &row.sites()).unwrap();
    }
    let (index, _) = builder.finish(|_| {}).unwrap();
    let bytes = index.to_bytes();
    let read = InfluenceIndex::from_bytes(&bytes).unwrap();
    assert_eq!(read.projector().basis(), projector.basis());
    assert_eq!(read.projector().hash(), projector.hash());
    assert_ne!(Projector::new(&SHAPES, SKETCHES).unwrap().hash(), projector.hash());
    for query in gradients(5, 9) {
        let [one, other] = [&index, &read].map(|index| index.query(&query.sites()).unwrap());
        assert_eq!(one, other);
    }
    // A kept pair that names a direction there is none of, and a cut anywhere.
    let start = 54 + 12 * SHAPES.len();
    assert_eq!(bytes[start], 1);
    for end in (start..start + 400).step_by(7) {
        assert!(matches!(InfluenceIndex::from_bytes(&bytes[..end]), Err(Error::Corrupt(_))));
    }
    // Numbers of directions and buckets, then a direction's exponent.
    for at in [start, start + 1, start + 3, start + 5, start + 7, start + 1003] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        assert!(matches!(InfluenceIndex::from_bytes(&damaged), Err(Error::Corrupt(_))), "{at}");
    }
}
