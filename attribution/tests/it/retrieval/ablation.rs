use attribution::{
    Error,
    retrieval::{AblationConfig, ablate, agreement},
};

/// Log-likelihood of an answer of 20 tokens whose logit is linear in the sources.
fn planted(weights: &[f64], kept: &[bool]) -> f64 {
    let logit: f64 =
        -60.0 + weights.iter().zip(kept).filter(|(_, kept)| **kept).map(|(w, _)| w).sum::<f64>();
    // log p of a logit.
    -(1.0 + (-logit).exp()).ln()
}

#[test]
fn planted_sources_are_found_with_32_passes() {
    let mut weights = vec![0.0; 20];
    (weights[3], weights[11], weights[17]) = (25.0, 12.0, -8.0);
    for seed in 0..5 {
        let config = AblationConfig { answer_tokens: 20, seed, ..AblationConfig::default() };
        let found = ablate(20, &config, &mut |kept| Ok(planted(&weights, kept))).unwrap();

        assert_eq!(found.passes, 40);
        for (source, (score, weight)) in found.scores.iter().zip(&weights).enumerate() {
            assert!((score - weight).abs() < 1.5, "seed {seed} source {source}: {score} {weight}");
        }
        assert!((found.intercept + 60.0).abs() < 3.0, "seed {seed}: {}", found.intercept);
        assert!(found.lds.unwrap() > 0.95, "seed {seed}: {:?}", found.lds);

        let mut cited = vec![0; 20];
        (cited[3], cited[11]) = (2000, 1000);
        assert_eq!(agreement(&found.scores, &cited).cited_in_top, Some(1.0));
        (cited[3], cited[4]) = (0, 2000);
        let wrong = agreement(&found.scores, &cited).cited_in_top.unwrap();
        assert!((wrong - 1.0 / 3.0).abs() < 1e-12, "seed {seed}: {wrong}");
    }
}

#[test]
fn few_sources_are_tried_in_every_combination_and_fitted_exactly() {
    let weights = [4.0, 0.5, 0.0];
    let config = AblationConfig { held_out: 0, penalty: 0.0, ..AblationConfig::default() };
    let mut seen = Vec::new();
    let found = ablate(3, &config, &mut |kept| {
        seen.push(kept.to_vec());
        Ok(planted(&weights, kept))
    })
    .unwrap();

    seen.sort();
    seen.dedup();
    assert_eq!((seen.len(), found.passes, found.lds), (8, 8, None));
    for (score, weight) in found.scores.iter().zip(&weights) {
        assert!((score - weight).abs() < 1e-6, "{score} {weight}");
    }
    assert!((found.predict(&[true, true, false]) + 55.5).abs() < 1e-6);
}

#[test]
fn an_answer_that_needs_no_source_has_no_scores() {
    let config = AblationConfig::default();
    let found = ablate(12, &config, &mut |_| Ok(-3.0)).unwrap();
    assert_eq!(found.scores, [0.0; 12]);
    assert_eq!(found.lds, None);
}

#[test]
fn what_cannot_be_audited_is_refused() {
    let config = AblationConfig::default();
    for (sources, config) in [
        (0, config),
        (257, config),
        (3, AblationConfig { passes: 0, ..config }),
        (3, AblationConfig { passes: usize::MAX, ..config }),
        (3, AblationConfig { answer_tokens: 0, ..config }),
        (3, AblationConfig { penalty: f64::NAN, ..config }),
    ] {
        let error = ablate(sources, &config, &mut |_| Ok(-1.0)).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error}");
    }
    for value in [f64::NAN, f64::NEG_INFINITY, 0.5] {
        assert!(ablate(3, &config, &mut |_| Ok(value)).is_err(), "{value}");
    }
    assert!(ablate(3, &config, &mut |_| Ok(0.0)).is_ok());
    assert_eq!(ablate(3, &config, &mut |_| Err(Error::NoSignal)).unwrap_err(), Error::NoSignal);
}
