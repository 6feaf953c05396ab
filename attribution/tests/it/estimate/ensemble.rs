//! Several indexes as one, and rows that teach the same.

use attribution::{
    Error,
    estimate::{
        IndexBuilder, IndexEnsemble, InfluenceIndex, Projector, ProjectorConfig,
        attributor::{Attributor, Ensemble, GradientDot, Gradients, Layout, Query},
    },
};
use rand::{SeedableRng, rngs::StdRng};

use super::{
    Gradient, dot,
    index::{SHAPES, SKETCHES, builder, config, gradients},
    noise, source,
};

fn index(seed: u8, rows: &[Gradient]) -> InfluenceIndex {
    let sketches = ProjectorConfig { seed: [seed; 32], ..SKETCHES };
    let projector = Projector::new(&SHAPES, sketches).unwrap();
    let mut builder = IndexBuilder::new(projector, config()).unwrap();
    for (i, gradient) in (0u32..).zip(rows) {
        builder.push(source(i, 2 + i % 3, i), &gradient.sites()).unwrap();
    }
    builder.finish(|_| {}).unwrap().0
}

#[test]
fn an_ensemble_adds_up_its_members() {
    let rows = gradients(30, 1);
    let ensemble = IndexEnsemble::new(vec![index(1, &rows), index(2, &rows)]).unwrap();
    let query = &gradients(1, 3)[0];
    let sketches = ensemble.query(&[query.sites(), query.sites()]).unwrap();
    let mut expected = vec![0i64; 30];
    let mut by_contributor = vec![0i64; 3];
    for (member, q) in ensemble.members().iter().zip(&sketches) {
        assert_eq!(*q, member.query(&query.sites()).unwrap());
        let rows = member.score_rows(q).unwrap();
        expected.iter_mut().zip(rows).for_each(|(sum, x)| *sum += i64::from(x));
        let contributors = member.score_contributors(q).unwrap();
        by_contributor.iter_mut().zip(contributors).for_each(|(sum, x)| *sum += x);
    }
    assert_eq!(ensemble.score_rows(&sketches).unwrap(), expected);
    assert_eq!(ensemble.score_contributors(&sketches).unwrap(), by_contributor);
    assert_eq!(ensemble.contributors().len(), 3);
    assert!(matches!(ensemble.score_rows(&sketches[..1]), Err(Error::Shape { .. })));
    assert!(IndexEnsemble::new(vec![]).is_err());
    assert!(IndexEnsemble::new(vec![index(1, &rows), index(2, &rows[..29])]).is_err());
}

/// Noise that is independent between members averages out.
#[test]
fn an_ensemble_of_noisy_gradients_is_nearer_to_the_truth() {
    let mut rng = StdRng::seed_from_u64(5);
    let layout = Layout::tensors(&[24]).unwrap();
    let mut draw = |n: usize| (0..n).map(|_| noise(&mut rng) as f32).collect::<Vec<f32>>();
    let (truth, q) = (draw(40 * 24), draw(24));
    let members: Vec<Gradients> = (0..6)
        .map(|k| {
            let values =
                truth.iter().zip(draw(40 * 24)).map(|(x, e)| (1.0 + k as f32) * (x + 2.0 * e));
            Gradients::new(layout.clone(), values.collect()).unwrap()
        })
        .collect();
    let exact: Vec<f32> = truth.chunks_exact(24).map(|g| dot(&q, g) as f32).collect();
    let agreement =
        |scores: &[f32]| dot(scores, &exact) / (dot(scores, scores) * dot(&exact, &exact)).sqrt();
    let boxed = |g| Box::new(GradientDot { gradients: g }) as Box<dyn Attributor>;
    let ensemble = Ensemble::new(members.iter().map(boxed).collect()).unwrap();
    let together = agreement(&ensemble.scores(&Query::of(&q)).unwrap());
    for member in &members {
        let alone = GradientDot { gradients: member }.scores(&Query::of(&q)).unwrap();
        assert!(agreement(&alone) + 0.1 < together, "{} {together}", agreement(&alone));
    }
    // Six gradients of one query are six queries.
    let same: Vec<&[f32]> = vec![&q; 6];
    let query = Query { checkpoints: &same, ..Query::default() };
    assert_eq!(ensemble.scores(&query).unwrap(), ensemble.scores(&Query::of(&q)).unwrap());
    let query = Query { checkpoints: &same[..5], ..Query::default() };
    assert!(ensemble.scores(&query).is_err() && Ensemble::new(vec![]).is_err());
}

#[test]
fn rows_that_teach_the_same_join_the_oldest() {
    let mut rows = gradients(12, 1);
    let mut rng = StdRng::seed_from_u64(9);
    // Row 7 is row 2 said otherwise; row 9 is its opposite; row 11 has no gradient.
    rows[7] = nearly(&rows[2], 0.02, &mut rng);
    rows[9] = nearly(&rows[2], 0.0, &mut rng);
    rows[9].0.iter_mut().for_each(|(_, a, b)| a.iter_mut().chain(b).for_each(|x| *x = -*x));
    rows[11].0.iter_mut().for_each(|(_, a, b)| a.iter_mut().chain(b).for_each(|x| *x = 0.0));
    let mut builder = builder();
    for (i, gradient) in (0u32..).zip(&rows) {
        // Row 8 is a copy of row 7 by its text.
        let cluster = if i == 8 { 7 } else { i };
        builder.push(source(i, 2, cluster), &gradient.sites()).unwrap();
    }
    let (index, _) = builder.finish(|_| {}).unwrap();
    assert_eq!(index.alike(9_500).unwrap(), [0, 1, 2, 3, 4, 5, 6, 2, 2, 9, 10, 11]);
    let strict = index.alike(10_000).unwrap();
    assert_eq!(strict, [0, 1, 2, 3, 4, 5, 6, 7, 7, 9, 10, 11]);
    assert!(index.alike(0).is_err() && index.alike(10_001).is_err());
}

fn nearly(row: &Gradient, noise_by: f32, rng: &mut StdRng) -> Gradient {
    let mut moved = |x: &Vec<f32>| x.iter().map(|x| x + noise_by * noise(rng) as f32).collect();
    Gradient(row.0.iter().map(|(s, a, b)| (*s, moved(a), moved(b))).collect())
}
