use attribution::{
    Error,
    estimate::{
        IndexBuilder, IndexConfig, IndexStats, InfluenceIndex, Projector, ProjectorConfig,
        PublishedIndex, SiteShape, Sketches, Stage, sums_hash,
    },
    settle::{EarnerIndex, merkle},
};
use rand::{SeedableRng, rngs::StdRng};

use super::{Gradient, source};

pub(super) const SHAPES: [SiteShape; 2] =
    [SiteShape { rank: 4, d_in: 24, d_out: 16 }, SiteShape { rank: 2, d_in: 40, d_out: 20 }];
const DIM: usize = 64;

pub(super) const SKETCHES: ProjectorConfig = ProjectorConfig { seed: [9; 32], dim: DIM, side: 32 };

pub(super) fn config() -> IndexConfig {
    IndexConfig { damping: 0.5, ..Default::default() }
}

pub(super) fn projector() -> Projector {
    Projector::new(&SHAPES, SKETCHES).unwrap()
}

pub(super) fn builder() -> IndexBuilder {
    IndexBuilder::new(projector(), config()).unwrap()
}

pub(super) fn gradients(n: usize, seed: u64) -> Vec<Gradient> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..n).map(|_| Gradient::random(&SHAPES, &mut rng)).collect()
}

/// Rows of earners 5, 3, 8 in turn; every tenth row copies the row before it.
pub(super) fn build(n: usize) -> (InfluenceIndex, IndexStats) {
    let mut builder = builder();
    for (i, gradient) in (0u32..).zip(gradients(n, 1)) {
        let earner = [5, 3, 8][i as usize % 3];
        let cluster = if i % 10 == 9 { i - 1 } else { i };
        let place = builder.push(source(i, earner, cluster), &gradient.sites());
        assert_eq!(place.unwrap(), i);
    }
    builder.finish(|_| {}).unwrap()
}

#[test]
fn scores_are_the_float_formula_up_to_rounding() {
    for n in [20, 200] {
        let (index, stats) = build(n);
        let rows = gradients(n, 1);
        let whiten = |g: &Gradient| -> Vec<f64> {
            let w = index.whitening().apply(&index.projector().project(&g.sites()).unwrap());
            w.unwrap().into_iter().map(f64::from).collect()
        };
        let query = &gradients(1, 2)[0];
        let q = whiten(query);
        let largest = q.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        let scores = index.score_rows(&index.query(&query.sites()).unwrap()).unwrap();
        let mut clipped = 0;
        for ((row, score), entry) in rows.iter().zip(scores).zip(index.rows()) {
            let w = whiten(row);
            let squared: f64 = w.iter().map(|x| x * x).sum();
            assert!((f64::from(entry.self_influence) / squared - 1.0).abs() < 1e-5);
            let t: Vec<f64> =
                w.iter().map(|x| x / squared.powf(0.25) * f64::from(index.scale())).collect();
            clipped += t.iter().filter(|x| x.abs() >= 127.5).count();
            let pairs = q.iter().map(|x| 127.0 * x / largest).zip(t);
            let (exact, spread) = pairs.fold((0.0, 0.0), |(sum, spread), (q, t)| {
                let t = t.clamp(-127.0, 127.0);
                (sum + q * t, spread + (q * q + t * t) / 12.0)
            });
            // Rounding errors are near uniform, each at most one half.
            assert!((f64::from(score) - exact).abs() < 6.0 * spread.sqrt(), "{score} {exact}");
        }
        assert_eq!(clipped as f64 / (n * DIM) as f64, stats.clipped_share);
        assert!(stats.clipped_share <= config().clip_share);
    }
}

#[test]
fn contributor_scores_sum_the_rows_that_are_canonical() {
    let (index, stats) = build(60);
    let q = index.query(&gradients(1, 3)[0].sites()).unwrap();
    let scores = index.score_rows(&q).unwrap();
    let by_contributor = index.score_contributors(&q).unwrap();
    let earners: Vec<u32> = index.contributors().iter().map(|c| c.earner.0).collect();
    assert_eq!(earners, [3, 5, 8]);
    for (contributor, score) in index.contributors().iter().zip(by_contributor) {
        let own = (0u32..).zip(index.rows()).zip(&scores).filter(|((i, row), _)| {
            row.source.earner == contributor.earner && row.source.cluster == *i
        });
        let own: Vec<i64> = own.map(|(_, score)| i64::from(*score)).collect();
        assert_eq!(score, own.iter().sum::<i64>());
        assert_eq!(contributor.accepted_rows as usize, own.len());
    }
    assert_eq!((stats.rows, stats.accepted_rows, stats.contributors), (60, 54, 3));
}

#[test]
fn leaves_hold_the_sums_under_the_root() {
    let (index, _) = build(30);
    for (place, contributor) in index.contributors().iter().enumerate() {
        let leaf = index.leaves()[place];
        assert_eq!((leaf.ordinal as usize, leaf.earner), (place, contributor.earner));
        assert_eq!(leaf.root.count, contributor.accepted_rows);
        assert_eq!(leaf.root.sums_hash, sums_hash(index.sums(place).unwrap()));
        assert_eq!(
            (leaf.root, index.sums(place).unwrap().to_vec()),
            index.tree(place).unwrap().root()
        );
        let proof = index.proof(place).unwrap();
        assert!(merkle::verify(index.root(), leaf.hash(), &proof));
    }
    assert!(index.sums(3).is_none() && index.sketch(30).is_none() && index.tree(3).is_none());
    assert!(matches!(index.proof(3), Err(Error::NoSuchLeaf { .. })));
}

#[test]
fn a_leaf_names_its_row_and_the_hash_of_its_cluster() {
    let mut builder = builder();
    for (i, gradient) in (0u32..).zip(gradients(4, 1)) {
        let cluster = if i == 2 { 0 } else { i };
        builder.push(source(i, 2, cluster), &gradient.sites()).unwrap();
    }
    let (index, _) = builder.finish(|_| {}).unwrap();
    let tree = index.tree(0).unwrap();
    let places: Vec<_> = tree.rows().iter().map(|(row, _)| row.index).collect();
    assert_eq!(places, [0, 3, 9], "the copy is left out");
    for (row, _) in tree.rows() {
        assert_eq!(row.cluster, row.hash);
    }
}

#[test]
fn copies_change_no_score_of_others() {
    let rows = gradients(80, 4);
    let scores = |copies: u32| {
        let mut builder = builder();
        for (i, gradient) in (0u32..).zip(&rows) {
            builder.push(source(i, 2 + i % 3, i), &gradient.sites()).unwrap();
        }
        for i in 80..80 + copies {
            let canonical = i % 7;
            builder.push(source(i, 9, canonical), &rows[canonical as usize].sites()).unwrap();
        }
        let (index, _) = builder.finish(|_| {}).unwrap();
        let query = index.whitening().apply(&index.projector().project(&rows[3].sites()).unwrap());
        (query.unwrap(), index.contributors().len())
    };
    for few in [70, 7] {
        let (alone, copied) = (scores(0), scores(few));
        assert_eq!(alone.0, copied.0, "the whitening is that of the rows alone");
        assert_eq!((alone.1, copied.1), (3, 4));
    }
}

#[test]
fn who_only_copies_is_listed_and_scores_nothing() {
    let mut builder = builder();
    for (i, gradient) in (0u32..).zip(gradients(6, 1)) {
        let (earner, cluster) = if i < 4 { (2, i) } else { (7, i - 4) };
        builder.push(source(i, earner, cluster), &gradient.sites()).unwrap();
    }
    let (index, _) = builder.finish(|_| {}).unwrap();
    let copier = index.contributors()[1];
    assert_eq!((copier.earner, copier.accepted_rows), (EarnerIndex(7), 0));
    let q = index.query(&gradients(1, 2)[0].sites()).unwrap();
    assert_eq!(index.score_contributors(&q).unwrap()[1], 0);
    assert!(index.score_rows(&q).unwrap()[4..].iter().any(|score| *score != 0));
}

#[test]
fn a_row_points_at_itself_and_zero_gradients_score_nothing() {
    let mut rows = gradients(20, 1);
    rows[3].0.iter_mut().for_each(|(_, a, b)| {
        a.fill(0.0);
        b.fill(0.0);
    });
    let mut builder = builder();
    for (i, row) in (0u32..).zip(&rows) {
        builder.push(source(i, 2, i), &row.sites()).unwrap();
    }
    let (index, _) = builder.finish(|_| {}).unwrap();
    for (i, row) in rows.iter().enumerate() {
        let q = index.query(&row.sites()).unwrap();
        let scores = index.score_rows(&q).unwrap();
        if i == 3 {
            assert_eq!((q, scores), (vec![0; DIM], vec![0; 20]));
        } else {
            let best = (0..20).max_by_key(|j| scores[*j]).unwrap();
            assert!(best == i && scores[i] > 0 && scores[3] == 0, "{i} {scores:?}");
        }
    }
    assert_eq!(index.rows()[3].self_influence, 0.0);
}

#[test]
fn tuning_sets_the_damping_that_is_used() {
    let mut builder = builder();
    for (i, gradient) in (0u32..).zip(gradients(20, 1)) {
        builder.push(source(i, 2, i), &gradient.sites()).unwrap();
    }
    let mut queries = Sketches::new(DIM);
    for query in gradients(3, 2) {
        queries.push(&builder.projector().project(&query.sites()).unwrap()).unwrap();
    }
    // Scores shrink as the damping grows.
    let size = |scores: &[Vec<f32>]| {
        assert!(scores.len() == 3 && scores.iter().all(|scores| scores.len() == 20));
        Ok(-scores.iter().flatten().map(|x| f64::from(x.abs())).sum::<f64>())
    };
    let trials = builder.tune_damping(&[0.1, 10.0, 1.0], &queries, size).unwrap();
    assert!(trials[1].score > trials[2].score && trials[2].score > trials[0].score);
    assert!(builder.tune_damping(&[0.1], &queries, |_| Ok(f64::NAN)).is_err());
    let mut tried = Vec::new();
    let note = |scores: &[Vec<f32>]| {
        tried = scores.to_vec();
        Ok(0.0)
    };
    builder.tune_damping(&[10.0], &queries, note).unwrap();
    let (index, stats) = builder.finish(|_| {}).unwrap();
    assert_eq!(index.damping(), 10.0);
    assert_eq!(stats.lambda, 10.0 * stats.trace / DIM as f64);
    // What was scored is what the index rounds.
    for (query, tried) in gradients(3, 2).iter().zip(tried) {
        let scores = index.score_rows(&index.query(&query.sites()).unwrap()).unwrap();
        let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
        let tried: Vec<f64> = tried.into_iter().map(f64::from).collect();
        assert!(super::spearman(&scores, &tried) > 0.98);
    }
}

#[test]
fn dimensions_up_to_the_largest_go_all_the_way() {
    let shapes = [SiteShape { rank: 8, d_in: 700, d_out: 600 }];
    let mut rng = StdRng::seed_from_u64(8);
    let rows: Vec<Gradient> = (0..12).map(|_| Gradient::random(&shapes, &mut rng)).collect();
    for dim in [512, 1024, 2048, 4096, 8192] {
        let sketches = ProjectorConfig { seed: [9; 32], dim, side: 512 };
        let projector = Projector::new(&shapes, sketches).unwrap();
        let mut builder = IndexBuilder::new(projector, config()).unwrap();
        for (i, row) in (0u32..).zip(&rows) {
            builder.push(source(i, 2 + i % 2, i), &row.sites()).unwrap();
        }
        let (index, _) = builder.finish(|_| {}).unwrap();
        let bytes = index.to_bytes();
        let read = InfluenceIndex::from_bytes(&bytes).unwrap();
        assert_eq!((read.dim(), read.root()), (dim, index.root()));
        let published = PublishedIndex::from_bytes(&index.published()).unwrap();
        assert_eq!((published.dim(), published.root()), (dim, index.root()));
        // Both tensors have 4096 numbers: the largest sketch is the gradient, whitened by tensor.
        let blocks = if dim == 8192 { 2 } else { 1 };
        let fixed = 10 + 44 + 12 + 1 + 28 + 36 + 2 + 9 * blocks + 32;
        assert_eq!(bytes.len(), fixed + index.whitening().bytes() + 12 * (53 + dim));
        for (i, row) in rows.iter().enumerate() {
            let q = read.query(&row.sites()).unwrap();
            let scores = read.score_rows(&q).unwrap();
            assert!((0..12).all(|j| j == i || scores[j] < scores[i]), "{dim}: {scores:?}");
        }
    }
}

#[test]
fn progress_reaches_the_end_of_every_stage() {
    let mut builder = builder();
    for (i, gradient) in (0u32..).zip(gradients(20, 1)) {
        builder.push(source(i, 2, i), &gradient.sites()).unwrap();
    }
    let mut seen = Vec::new();
    builder.finish(|p| seen.push((p.stage, p.done, p.total))).unwrap();
    for stage in [Stage::Fisher, Stage::Whiten, Stage::Quantise] {
        assert!(seen.contains(&(stage, 20, 20)), "{seen:?}");
    }
}

#[test]
fn bad_rows_are_refused_and_change_nothing() {
    let gradient = &gradients(1, 1)[0];
    let mut builder = builder();
    let mut push =
        |place, earner, cluster| builder.push(source(place, earner, cluster), &gradient.sites());
    assert!(matches!(push(6, 0, 0), Err(Error::Setting { .. })));
    assert!(matches!(push(6, 2, 1), Err(Error::Setting { .. })));
    assert_eq!(push(6, 2, 0).unwrap(), 0);
    assert!(matches!(push(6, 3, 0), Err(Error::Setting { .. })), "the same row again");
    assert!(matches!(push(5, 3, 0), Err(Error::Setting { .. })), "an earlier row");
    assert_eq!(push(7, 3, 0).unwrap(), 1);
    assert!(matches!(push(6, 3, 0), Err(Error::Setting { .. })), "an earlier Datanet");
    assert!(matches!(push(8, 3, 1), Err(Error::Setting { .. })), "row 1 is not canonical");
    assert_eq!(push(8, 3, 2).unwrap(), 2);
    let (index, _) = builder.finish(|_| {}).unwrap();
    assert_eq!(index.rows().len(), 3);
    assert!(matches!(index.score_rows(&[0; DIM - 1]), Err(Error::Shape { .. })));
    assert!(matches!(index.score_contributors(&[]), Err(Error::Shape { .. })));
}

#[test]
fn an_index_without_signal_or_memory_is_refused() {
    let empty = builder();
    assert!(matches!(empty.finish(|_| {}), Err(Error::NoSignal)));
    for bad in [
        IndexConfig { damping: 0.0, ..config() },
        IndexConfig { clip_share: 0.6, ..config() },
        IndexConfig { clip_share: f64::NAN, ..config() },
    ] {
        assert!(matches!(IndexBuilder::new(projector(), bad), Err(Error::Setting { .. })));
    }
    let tight = IndexConfig { memory_limit: 4 * DIM, ..config() };
    let mut builder = IndexBuilder::new(projector(), tight).unwrap();
    let sketch = [1.0; DIM];
    builder.push_sketch(source(0, 2, 0), &sketch).unwrap();
    let full = builder.push_sketch(source(1, 2, 1), &sketch);
    assert!(matches!(full, Err(Error::Setting { .. })));
}
