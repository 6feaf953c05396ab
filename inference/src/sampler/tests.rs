use serde_json::Value;

use super::*;

fn sampler(sampling: &Sampling) -> Sampler {
    Sampler::new(sampling, &[], None)
}

fn counts(sampling: &Sampling, logits: &[f32], draws: usize) -> Vec<f64> {
    let mut sampler = sampler(sampling);
    let mut counts = vec![0.0; logits.len()];
    for _ in 0..draws {
        counts[sampler.sample(logits).unwrap().token as usize] += 1.0 / draws as f64;
    }
    counts
}

/// Settings as the golden file names them.
fn settings(case: &Value) -> Sampling {
    let number = |name: &str, or: f32| case[name].as_f64().map_or(or, |value| value as f32);
    let bias = case["logit_bias"].as_array().into_iter().flatten();
    Sampling {
        temperature: number("temperature", 1.0),
        top_k: case["top_k"].as_u64().unwrap_or(0) as usize,
        top_p: number("top_p", 1.0),
        min_p: number("min_p", 0.0),
        repetition_penalty: number("repetition_penalty", 1.0),
        presence_penalty: number("presence_penalty", 0.0),
        frequency_penalty: number("frequency_penalty", 0.0),
        logit_bias: bias
            .map(|pair| (pair[0].as_u64().unwrap() as u32, pair[1].as_f64().unwrap() as f32))
            .collect(),
        ..Sampling::default()
    }
}

fn tokens(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|token| token.as_u64().unwrap() as u32).collect()
}

#[test]
fn distributions_are_those_of_transformers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/sampling.json");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(cases.len() > 10);
    for case in &cases {
        let numbers = |name: &str| -> Vec<f64> {
            case[name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
        };
        let logits: Vec<f32> = numbers("logits").iter().map(|logit| *logit as f32).collect();
        let mut sampler =
            Sampler::new(&settings(&case["settings"]), &tokens(&case["prompt"]), None);
        tokens(&case["answer"]).into_iter().for_each(|token| sampler.history.push(token));
        sampler.choose(&logits).unwrap();
        let got = sampler.candidates.distribution(logits.len());
        for (token, (got, expected)) in got.iter().zip(numbers("probabilities")).enumerate() {
            let settings = &case["settings"];
            assert!((got - expected).abs() < 2e-6, "{settings}, {token}: {got} for {expected}");
            assert_eq!(*got == 0.0, expected == 0.0, "{settings}, {token}: {got} for {expected}");
        }
    }
}

#[test]
fn greedy_takes_the_first_of_the_likeliest_and_tells_its_probability() {
    let mut sampler = sampler(&Sampling { top_logprobs: 2, ..Sampling::default() });
    // Probabilities 1/4, 3/8, 3/8.
    let logits = [2.0f32.ln(), 3.0f32.ln(), 3.0f32.ln()];
    let Sampled { token, logprob, top } = sampler.sample(&logits).unwrap();
    assert_eq!(token, 1);
    assert!((logprob - (3.0f32 / 8.0).ln()).abs() < 1e-6);
    assert_eq!(top, [(1, logprob), (2, logprob)]);
}

#[test]
fn draws_have_the_probabilities_of_the_formula() {
    let logits = [1.0f32.ln(), 2.0f32.ln(), 4.0f32.ln(), 1.0f32.ln()];
    let base = Sampling { temperature: 1.0, seed: 7, ..Sampling::default() };
    let close = |sampling: &Sampling, expected: [f64; 4]| {
        for (got, expected) in counts(sampling, &logits, 40_000).iter().zip(expected) {
            assert!((got - expected).abs() < 0.012, "{sampling:?}: {got} for {expected}");
            assert!(expected > 0.0 || *got == 0.0);
        }
    };
    close(&base, [0.125, 0.25, 0.5, 0.125]);
    close(&Sampling { top_k: 2, ..base.clone() }, [0.0, 1.0 / 3.0, 2.0 / 3.0, 0.0]);
    close(&Sampling { top_p: 0.74, ..base.clone() }, [0.0, 1.0 / 3.0, 2.0 / 3.0, 0.0]);
    close(&Sampling { top_p: 0.8, ..base.clone() }, [1.0 / 7.0, 2.0 / 7.0, 4.0 / 7.0, 0.0]);
    close(&Sampling { top_p: 1e-6, ..base.clone() }, [0.0, 0.0, 1.0, 0.0]);
    close(&Sampling { min_p: 0.4, ..base.clone() }, [0.0, 1.0 / 3.0, 2.0 / 3.0, 0.0]);
    close(&Sampling { min_p: 1.0, ..base.clone() }, [0.0, 0.0, 1.0, 0.0]);
    // Temperature 0.5 squares the weights: 1, 4, 16, 1.
    let cold = Sampling { temperature: 0.5, ..base };
    close(&cold, [1.0 / 22.0, 4.0 / 22.0, 16.0 / 22.0, 1.0 / 22.0]);
}

#[test]
fn penalties_make_a_greedy_answer_move_on() {
    let logits = [3.0, 2.5, 2.0, -1.0];
    let answer = |sampling: Sampling, prompt: &[u32]| {
        let mut sampler = Sampler::new(&sampling, prompt, None);
        (0..4).map(|_| sampler.sample(&logits).unwrap().token).collect::<Vec<_>>()
    };
    let base = Sampling::default();
    assert_eq!(answer(base.clone(), &[]), [0, 0, 0, 0]);
    // 3.0 falls to 2.3, 2.5 to 1.8: then nothing changes any more.
    let presence = Sampling { presence_penalty: 0.7, ..base.clone() };
    assert_eq!(answer(presence, &[]), [0, 1, 0, 0]);
    let frequency = Sampling { frequency_penalty: 0.7, ..base.clone() };
    assert_eq!(answer(frequency, &[]), [0, 1, 0, 2]);
    let repetition = Sampling { repetition_penalty: 1.4, ..base.clone() };
    assert_eq!(answer(repetition.clone(), &[]), [0, 1, 0, 0]);
    assert_eq!(answer(repetition, &[0, 1]), [0, 0, 0, 0]);
    let bias = Sampling { logit_bias: vec![(3, 100.0)], ..base };
    assert_eq!(answer(bias, &[]), [3, 3, 3, 3]);
}

/// Allows each token once.
struct Once(Vec<u32>);

impl TokenMask for Once {
    fn allow(&mut self, logits: &mut [f32]) {
        self.0.iter().for_each(|token| logits[*token as usize] = f32::NEG_INFINITY);
    }

    fn commit(&mut self, token: u32) {
        self.0.push(token);
    }
}

#[test]
fn a_mask_decides_what_may_come_and_not_what_the_model_says() {
    let logits = [30.0, 10.0, 20.0];
    for temperature in [0.0, 1.0] {
        let sampling = Sampling { temperature, top_logprobs: 1, ..Sampling::default() };
        let mut sampler = Sampler::new(&sampling, &[], Some(Box::new(Once(Vec::new()))));
        let sampled: Vec<Sampled> = (0..3).map(|_| sampler.sample(&logits).unwrap()).collect();
        assert_eq!(sampled.iter().map(|s| s.token).collect::<Vec<_>>(), [0, 2, 1]);
        assert!((sampled[2].logprob + 20.0).abs() < 1e-4, "{}", sampled[2].logprob);
        assert_eq!(sampled[2].top[0].0, 0);
        assert!(sampler.sample(&logits).is_err());
    }
}

#[test]
fn the_likeliest_tokens_are_told_with_the_model_s_probabilities() {
    let logits: Vec<f32> = (0..300).map(|i| ((i * 7919) % 301) as f32 * 0.05).collect();
    let total: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
    let sampling = Sampling { top_logprobs: 20, ..Sampling::default() };
    let top = sampler(&sampling).sample(&logits).unwrap().top;
    let mut order: Vec<u32> = (0..300).collect();
    order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
    assert_eq!(top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), order[..20]);
    for (id, logprob) in top {
        let expected = f64::from(logits[id as usize]) - total.ln();
        assert!((f64::from(logprob) - expected).abs() < 1e-5, "{id}: {logprob} for {expected}");
    }
}

#[test]
fn the_seed_decides_the_stream() {
    let logits: Vec<f32> = (0..50).map(|i| (i % 7) as f32 * 0.1).collect();
    let run = |seed| {
        let mut sampler = sampler(&Sampling { temperature: 1.0, seed, ..Sampling::default() });
        (0..20).map(|_| sampler.sample(&logits).unwrap().token).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn values_out_of_bounds_are_refused() {
    let good = Sampling::default();
    let with = |change: fn(&mut Sampling)| {
        let mut sampling = Sampling::default();
        change(&mut sampling);
        sampling
    };
    let bad = [
        with(|s| s.temperature = -0.1),
        with(|s| s.temperature = 2.1),
        with(|s| s.temperature = f32::NAN),
        with(|s| s.top_p = 0.0),
        with(|s| s.top_p = 1.1),
        with(|s| s.top_p = f32::NAN),
        with(|s| s.min_p = -0.1),
        with(|s| s.min_p = 1.1),
        with(|s| s.repetition_penalty = 0.0),
        with(|s| s.repetition_penalty = f32::INFINITY),
        with(|s| s.presence_penalty = 2.5),
        with(|s| s.frequency_penalty = f32::NAN),
        with(|s| s.logit_bias = vec![(3, 101.0)]),
        with(|s| s.logit_bias = vec![(100, 1.0)]),
        with(|s| s.logit_bias = vec![(3, 1.0); MAX_BIASES + 1]),
        with(|s| s.max_tokens = 0),
        with(|s| s.top_logprobs = 21),
        with(|s| s.stop = vec![String::new()]),
        with(|s| s.stop = vec!["x".repeat(257)]),
        with(|s| s.stop = vec!["x".into(); 9]),
        with(|s| s.stop_tokens = vec![1; 9]),
        with(|s| s.stop_tokens = vec![100]),
    ];
    assert!(good.validate(100).is_ok());
    for sampling in bad {
        assert!(matches!(sampling.validate(100), Err(Error::Request(_))), "{sampling:?}");
    }
    for logits in [&[][..], &[1.0, f32::NAN], &[f32::INFINITY, 0.0]] {
        assert!(sampler(&good).sample(logits).is_err());
    }
}
