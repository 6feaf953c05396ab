//! The decoder against its reference, its own gradients, and itself in other batches.

use candle_core::Tensor;

use super::{NoAdapter, fixture, parameters, reference};
use crate::{
    Error,
    kv::{CacheId, KvCache},
    layers::loss::negative_log_likelihood,
    model::Decoder,
    step::{SequenceSpan, Step},
    weights::{Storage, save},
};

const TOKENS: [u32; 20] = [1, 5, 9, 13, 63, 2, 2, 40, 8, 31, 7, 19, 0, 22, 50, 51, 52, 6, 6, 11];

fn rows(tensor: &Tensor) -> Vec<Vec<f32>> {
    tensor.to_vec2().unwrap()
}

fn logits(decoder: &Decoder, step: &Step) -> Tensor {
    decoder.logits(&decoder.forward(step, None, &NoAdapter).unwrap()).unwrap()
}

#[test]
fn logits_equal_the_reference() {
    for decoder in [fixture::frozen(1), fixture::untied(2), fixture::trainable(1)] {
        let ours = rows(&logits(&decoder, &Step::whole([&TOKENS[..]])));
        let expected = rows(&reference::logits(&decoder, &TOKENS).unwrap());
        for (ours, expected) in ours.iter().flatten().zip(expected.iter().flatten()) {
            assert!((ours - expected).abs() < 1e-4, "{ours} {expected}");
        }
    }
}

#[test]
fn a_sequence_has_the_same_bits_alone_in_a_batch_and_token_by_token() {
    let decoder = fixture::frozen(1);
    let alone = rows(&logits(&decoder, &Step::whole([&TOKENS[..]])));
    let other = [3u32, 3, 60];
    let batch = rows(&logits(&decoder, &Step::whole([&other[..], &TOKENS, &TOKENS[..7]])));
    assert_eq!(batch[3..23], alone);
    assert_eq!(batch[23..], alone[..7]);

    let mut cache = KvCache::default();
    let mut decoded = Vec::new();
    // A prompt in one chunk, then single tokens, beside another sequence that grows by two.
    let chunks = [0..6usize, 6..7, 7..8, 8..9, 9..20];
    for (index, chunk) in chunks.into_iter().enumerate() {
        let beside = [2 * index as u32, 2 * index as u32 + 1];
        let mut tokens = beside.to_vec();
        tokens.extend_from_slice(&TOKENS[chunk.clone()]);
        let positions = beside.into_iter().chain(chunk.clone().map(|at| at as u32)).collect();
        let sequences = vec![
            SequenceSpan { range: 0..2, cache: CacheId(7) },
            SequenceSpan { range: 2..2 + chunk.len(), cache: CacheId(8) },
        ];
        let step = Step { tokens, positions, sequences, ..Step::default() };
        let hidden = decoder.forward(&step, Some(&mut cache), &NoAdapter).unwrap();
        decoded.extend(rows(&decoder.logits(&hidden).unwrap()).split_off(2));
    }
    assert_eq!(decoded, alone);
}

#[test]
fn all_gradients_equal_those_of_the_reference_loss_by_differences() {
    let decoder = fixture::trainable(4);
    let (inputs, targets) = (&TOKENS[..9], &TOKENS[1..10]);
    let loss = |decoder: &Decoder| {
        negative_log_likelihood(&logits(decoder, &Step::whole([inputs])), targets).unwrap()
    };
    let gradients = loss(&decoder).backward().unwrap();
    const STEP: f32 = 5e-3;
    for (name, variable) in decoder.variables() {
        let gradient = gradients.get(variable).expect(name);
        let gradient = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let values = variable.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        // The entry with the largest gradient, and one in the middle.
        let top =
            (0..values.len()).max_by(|&i, &j| gradient[i].abs().total_cmp(&gradient[j].abs()));
        for entry in [top.unwrap(), values.len() / 2] {
            let at = |offset: f32| {
                let mut moved = values.clone();
                moved[entry] += offset;
                let moved = Tensor::from_vec(moved, variable.shape(), variable.device()).unwrap();
                variable.set(&moved).unwrap();
                f64::from(loss(&decoder).to_scalar::<f32>().unwrap())
            };
            let expected = (at(STEP) - at(-STEP)) / (2.0 * f64::from(STEP));
            at(0.0);
            let error = (f64::from(gradient[entry]) - expected).abs();
            assert!(
                error < 1e-2 + 2e-2 * expected.abs(),
                "{name}[{entry}]: {} but difference {expected}",
                gradient[entry]
            );
        }
    }
}

#[test]
fn saved_model_loads_with_the_same_logits() {
    let decoder = fixture::untied(5);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), decoder.spec().to_json()).unwrap();
    let file = dir.path().join("model.safetensors");
    save(&file, &decoder.export().unwrap(), Storage::F32, None).unwrap();
    let step = Step::whole([&TOKENS[..]]);
    let expected = rows(&logits(&decoder, &step));
    for loaded in [Decoder::load(dir.path()), Decoder::load_trainable(dir.path())] {
        assert_eq!(rows(&logits(&loaded.unwrap(), &step)), expected);
    }
    save(&file, &decoder.export().unwrap(), Storage::Bf16, None).unwrap();
    let rounded = rows(&logits(&Decoder::load(dir.path()).unwrap(), &step));
    let pairs = rounded.iter().flatten().zip(expected.iter().flatten());
    let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst > 0.0 && worst < 0.3, "{worst}");
}

#[test]
fn damaged_checkpoints_are_errors() {
    let decoder = fixture::frozen(5);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("model.safetensors");
    std::fs::write(dir.path().join("config.json"), decoder.spec().to_json()).unwrap();
    assert!(matches!(Decoder::load(dir.path()), Err(Error::Io { .. })));
    let good = decoder.export().unwrap();
    let load = |tensors: &[(String, Vec<usize>, Vec<f32>)]| {
        save(&file, tensors, Storage::F32, None).unwrap();
        Decoder::load(dir.path()).map(|_| ())
    };
    load(&good).unwrap();

    assert!(matches!(load(&good[1..]), Err(Error::Weights(_))), "a tensor is missing");
    let mut extra = good.clone();
    extra.push(("model.layers.9.mlp.up_proj.weight".into(), vec![1], vec![0.0]));
    assert!(matches!(load(&extra), Err(Error::Weights(_))), "a tensor is unknown");
    let mut turned = good.clone();
    turned[1].1.reverse();
    turned[5].1.reverse();
    assert!(matches!(load(&turned), Err(Error::Weights(_))), "a shape is wrong");
    let mut poisoned = good.clone();
    poisoned[0].2[0] = f32::NAN;
    assert!(matches!(load(&poisoned), Err(Error::Weights(_))), "a value is not finite");

    load(&good).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&file, &bytes).unwrap();
    assert!(matches!(Decoder::load(dir.path()), Err(Error::Weights(_))), "the file is cut");
}

#[test]
fn malformed_steps_are_errors() {
    let decoder = fixture::frozen(1);
    let good = Step::whole([&TOKENS[..4]]);
    let bad = [
        Step { tokens: vec![64, 1, 1, 1], ..good.clone() },
        Step { positions: vec![0, 1, 2, 48], ..good.clone() },
        Step { positions: vec![45, 46, 47, 48], ..good.clone() },
        Step { positions: vec![1, 2, 3, 4], ..good.clone() },
        Step { positions: vec![0, 1, 2], ..good.clone() },
        Step { sequences: vec![], ..good },
        Step::whole([&[][..]]),
    ];
    for step in bad {
        let result = decoder.forward(&step, None, &NoAdapter);
        assert!(matches!(result, Err(Error::Request(_))), "{step:?}");
    }
}

#[test]
fn parameter_count_is_that_of_the_tensors() {
    for decoder in [fixture::frozen(1), fixture::untied(1)] {
        let tensors = parameters(decoder.spec());
        let total: usize = tensors.iter().map(|p| p.shape.iter().product::<usize>()).sum();
        assert_eq!(decoder.spec().parameter_count(), total);
    }
}
