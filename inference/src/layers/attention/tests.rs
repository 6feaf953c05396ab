use proptest::prelude::*;

use super::*;
use crate::{
    kv::{CacheId, KvCache, KvPool},
    layers::finite_difference::{check, random},
    step::SequenceSpan,
};

fn plain() -> AttentionShape {
    AttentionShape::new(4, 2, 6)
}

/// One of each kind: grouped, multi-query, single heads, with everything at once.
fn variants() -> Vec<AttentionShape> {
    let slopes: Arc<[f32]> = Arc::from([0.5f32, 0.25, 0.125, 0.0625]);
    vec![
        plain(),
        AttentionShape { scale: 0.7, ..plain() },
        AttentionShape { softcap: Some(1.5), ..plain() },
        AttentionShape { window: Some(3), ..plain() },
        AttentionShape { alibi: Some(Arc::clone(&slopes)), ..plain() },
        AttentionShape { value_dim: 10, ..plain() },
        AttentionShape { value_dim: 3, kv_heads: 1, ..plain() },
        AttentionShape {
            heads: 4,
            kv_heads: 4,
            head_dim: 5,
            value_dim: 18,
            scale: 0.9,
            softcap: Some(2.0),
            window: Some(4),
            alibi: Some(slopes),
        },
    ]
}

/// Queries, keys and values of `tokens` tokens.
fn operands(shape: &AttentionShape, tokens: usize, seed: u64) -> [Tensor; 3] {
    [
        random(seed, (tokens, shape.query_width())),
        random(seed + 1, (tokens, shape.key_width())),
        random(seed + 2, (tokens, shape.value_width())),
    ]
}

fn step(lengths: &[usize]) -> Step {
    let zeros = vec![0u32; 200];
    Step::whole(lengths.iter().map(|&length| &zeros[..length]))
}

fn chunk_step(from: usize, to: usize) -> Step {
    Step {
        tokens: vec![0; to - from],
        positions: (from..to).map(|at| at as u32).collect(),
        sequences: vec![SequenceSpan { range: 0..to - from, cache: CacheId(5) }],
        ..Step::default()
    }
}

/// Rows `from..to` of layer 1 over a cache that holds those before.
fn cached(
    shape: &AttentionShape,
    from: usize,
    to: usize,
    kv: &mut dyn KvStore,
    cache: CacheId,
    [q, k, v]: &[Tensor; 3],
) -> Vec<Vec<f32>> {
    let mut step = chunk_step(from, to);
    step.sequences[0].cache = cache;
    attend_cached(shape, &step, 1, kv, q, k, v).unwrap().to_vec2::<f32>().unwrap()
}

fn rows(x: &Tensor, from: usize, count: usize) -> Tensor {
    x.narrow(0, from, count).unwrap()
}

/// The formula on the type's documentation in f64, one sequence.
fn formula(shape: &AttentionShape, q: &Tensor, k: &Tensor, v: &Tensor) -> Vec<Vec<f64>> {
    let [q, k, v] = [q, k, v].map(|x| x.to_vec2::<f32>().unwrap());
    let one_row = |p: usize| {
        let mut out = Vec::new();
        for head in 0..shape.heads {
            let kv_head = head / (shape.heads / shape.kv_heads);
            let score = |j: usize| {
                let dot: f64 = (0..shape.head_dim)
                    .map(|d| {
                        let (q, k) =
                            (q[p][head * shape.head_dim + d], k[j][kv_head * shape.head_dim + d]);
                        f64::from(q) * f64::from(k)
                    })
                    .sum();
                let mut score = dot * f64::from(shape.scale);
                if let Some(cap) = shape.softcap.map(f64::from) {
                    score = cap * (score / cap).tanh();
                }
                let slope = shape.alibi.as_ref().map_or(0.0, |slopes| f64::from(slopes[head]));
                (score + slope * (j as f64 - p as f64)).exp()
            };
            let from = shape.window.map_or(0, |window| (p + 1).saturating_sub(window));
            let weights: Vec<(usize, f64)> = (from..=p).map(|j| (j, score(j))).collect();
            let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
            for d in 0..shape.value_dim {
                let value = |j: usize| f64::from(v[j][kv_head * shape.value_dim + d]);
                out.push(weights.iter().map(|(j, w)| w / total * value(*j)).sum());
            }
        }
        out
    };
    (0..q.len()).map(one_row).collect()
}

fn close(got: &Tensor, expected: &[Vec<f64>]) {
    for (p, (got, expected)) in got.to_vec2::<f32>().unwrap().iter().zip(expected).enumerate() {
        for (got, expected) in got.iter().zip(expected) {
            assert!((f64::from(*got) - expected).abs() < 2e-6, "row {p}: {got} for {expected}");
        }
    }
}

fn shapes() -> impl Strategy<Value = AttentionShape> {
    let sizes = (1usize..4, 1usize..10, 1usize..40, 1usize..40);
    let cap = proptest::option::of(0.5f32..20.0);
    let window = proptest::option::of(1usize..60);
    (sizes, 0.05f32..1.0, cap, window, any::<bool>()).prop_map(
        |((kv_heads, group, head_dim, value_dim), scale, softcap, window, alibi)| {
            let heads = kv_heads * group;
            let slope = |head: usize| 2.0f32.powi(-(head as i32 % 8));
            let alibi = alibi.then(|| (0..heads).map(slope).collect());
            AttentionShape { heads, kv_heads, head_dim, value_dim, scale, softcap, window, alibi }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn attention_is_its_formula_alone_in_a_batch_and_in_chunks(
        shape in shapes(), length in 1usize..90, before in 0usize..20, seed in 0u64..1 << 40,
        cuts in proptest::collection::btree_set(1usize..90, 0..5),
    ) {
        let [q, k, v] = operands(&shape, before + length, seed);
        let parts = if before > 0 { vec![before, length] } else { vec![length] };
        let batch = attend(&shape, &step(&parts), &q, &k, &v).unwrap();
        let [q, k, v] = [q, k, v].map(|x| rows(&x, before, length));
        let expected = rows(&batch, before, length);
        close(&expected, &formula(&shape, &q, &k, &v));
        let expected = expected.to_vec2::<f32>().unwrap();
        let alone = attend(&shape, &step(&[length]), &q, &k, &v).unwrap();
        prop_assert_eq!(&alone.to_vec2::<f32>().unwrap(), &expected);

        let mut cache = KvCache::default();
        let mut pool = KvPool::new(shape.kv(2), 400);
        let lease = pool.open_empty();
        let (mut contiguous, mut paged) = (Vec::new(), Vec::new());
        let mut from = 0;
        for to in cuts.into_iter().filter(|cut| *cut < length).chain([length]) {
            let part = |x| rows(x, from, to - from);
            let operands = [part(&q), part(&k), part(&v)];
            contiguous.extend(cached(&shape, from, to, &mut cache, CacheId(5), &operands));
            // Another sequence takes a block in between, so that this one's do not lie together.
            std::mem::forget(pool.reserve(1).unwrap());
            prop_assert!(pool.grow(lease.id(), to));
            paged.extend(cached(&shape, from, to, &mut pool, lease.id(), &operands));
            from = to;
        }
        prop_assert_eq!(&contiguous, &expected);
        prop_assert_eq!(&paged, &expected);
    }
}

#[test]
fn gradients_equal_finite_differences() {
    for shape in variants() {
        let [q, k, v] = operands(&shape, 13, 1);
        let step = step(&[10, 1, 2]);
        check(&[&q, &k, &v], |x| attend(&shape, &step, &x[0], &x[1], &x[2]));
    }
}

#[test]
fn large_work_on_several_threads_has_the_same_bits() {
    let shape = AttentionShape { window: Some(150), ..AttentionShape::new(6, 2, 32) };
    let [q, k, v] = operands(&shape, 180, 3);
    let run = || attend(&shape, &step(&[180]), &q, &k, &v).unwrap().to_vec2::<f32>().unwrap();
    let expected = run();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    assert_eq!(pool.install(run), expected);
}

#[test]
fn cache_that_misses_positions_is_an_error() {
    let shape = plain();
    let [q, k, v] = operands(&shape, 1, 1);
    let step = chunk_step(3, 4);
    let result = attend_cached(&shape, &step, 0, &mut KvCache::default(), &q, &k, &v);
    assert!(matches!(result, Err(Error::Request(_))));
    assert!(attend(&shape, &step, &q, &k, &v).is_err());
}

#[test]
fn shapes_out_of_bounds_and_wrong_widths_are_refused() {
    let bad = [
        AttentionShape { heads: 3, ..plain() },
        AttentionShape { kv_heads: 0, ..plain() },
        AttentionShape { value_dim: 0, ..plain() },
        AttentionShape { scale: f32::NAN, ..plain() },
        AttentionShape { softcap: Some(0.0), ..plain() },
        AttentionShape { window: Some(0), ..plain() },
        AttentionShape { alibi: Some(Arc::from([1.0f32; 3])), ..plain() },
    ];
    assert!(variants().iter().all(|shape| shape.validate().is_ok()));
    for shape in bad {
        assert!(matches!(shape.validate(), Err(Error::Config(_))), "{shape:?}");
    }
    let [q, k, v] = operands(&plain(), 2, 1);
    let wide = AttentionShape { value_dim: 7, ..plain() };
    assert!(attend(&wide, &step(&[2]), &q, &k, &v).is_err());
    let cache = &mut KvCache::default();
    assert!(attend_cached(&wide, &chunk_step(0, 2), 0, cache, &q, &k, &v).is_err());
}
