use super::*;

/// A file of one f32 tensor `(2, 3)`, version 3, and pairs.
fn file(pairs: &[(&str, Vec<u8>)], shape: &[u64], kind: u32, offset: u64, data: &[u8]) -> Vec<u8> {
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    };
    let mut out = b"GGUF\x03\0\0\0".to_vec();
    out.extend(1u64.to_le_bytes());
    out.extend((pairs.len() as u64).to_le_bytes());
    for (key, value) in pairs {
        text(&mut out, key);
        out.extend(value);
    }
    text(&mut out, "output_norm.weight");
    out.extend((shape.len() as u32).to_le_bytes());
    shape.iter().rev().for_each(|size| out.extend(size.to_le_bytes()));
    out.extend(kind.to_le_bytes());
    out.extend(offset.to_le_bytes());
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend(data);
    out
}

fn string(value: &str) -> Vec<u8> {
    let mut out = 8u32.to_le_bytes().to_vec();
    out.extend((value.len() as u64).to_le_bytes());
    out.extend(value.as_bytes());
    out
}

fn number(value: u32) -> Vec<u8> {
    [4u32.to_le_bytes(), value.to_le_bytes()].concat()
}

fn open(bytes: &[u8]) -> Result<Gguf> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gguf");
    std::fs::write(&path, bytes).unwrap();
    Gguf::open(&path)
}

fn llama() -> (&'static str, Vec<u8>) {
    ("general.architecture", string("llama"))
}

fn floats() -> Vec<u8> {
    (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect()
}

#[test]
fn a_tensor_is_read_by_its_other_name() {
    let good = open(&file(&[llama()], &[2, 3], 0, 0, &floats())).unwrap();
    let values = good.values("model.norm.weight", &[2, 3]).unwrap().widened().unwrap();
    assert_eq!(values, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert!(matches!(good.values("model.norm.weight", &[3, 2]), Err(Error::Weights(_))));
    assert!(matches!(good.values("lm_head.weight", &[3, 2]), Err(Error::Weights(_))));
    assert!(matches!(good.config(), Err(Error::Config(_))), "it has no sizes");
}

#[test]
fn hostile_headers_are_refused() {
    let data = floats();
    let with = |pair: (&'static str, Vec<u8>)| file(&[llama(), pair], &[2, 3], 0, 0, &data);
    let array = |kind: u32, count: u64| {
        [&9u32.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes()].concat()
    };
    let long_text = [&8u32.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat();
    let mut not_text = string("ab");
    *not_text.last_mut().unwrap() = 0xff;
    let cases = [
        ("alignment 0", with(("general.alignment", number(0)))),
        ("alignment 3", with(("general.alignment", number(48)))),
        ("alignment of text", with(("general.alignment", string("32")))),
        ("endless array", with(("a", array(0, u64::MAX)))),
        ("array beyond the file", with(("a", array(10, 1 << 20)))),
        ("array of arrays", with(("a", array(9, 1)))),
        ("value type", with(("a", 13u32.to_le_bytes().to_vec()))),
        ("endless text", with(("a", long_text))),
        ("not text", with(("a", not_text))),
        ("not a bool", with(("a", [&7u32.to_le_bytes()[..], &[2]].concat()))),
        ("key twice", with(llama())),
        ("no dimensions", file(&[llama()], &[], 0, 0, &data)),
        ("five dimensions", file(&[llama()], &[1; 5], 0, 0, &data)),
        ("empty", file(&[llama()], &[0, 3], 0, 0, &data)),
        ("sizes overflow", file(&[llama()], &[1 << 40, 1 << 40], 0, 0, &data)),
        ("too many bytes", file(&[llama()], &[2, 4], 0, 0, &data)),
        ("offset after the file", file(&[llama()], &[2, 3], 0, u64::MAX - 31, &data)),
        ("offset not aligned", file(&[llama()], &[1, 3], 0, 12, &data)),
        ("no such type", file(&[llama()], &[2, 3], 77, 0, &data)),
        ("rows are not blocks", file(&[llama()], &[2, 3], 8, 0, &data)),
    ];
    for (what, bytes) in cases {
        assert!(matches!(open(&bytes), Err(Error::Weights(_))), "{what}");
    }
    let other = file(&[("general.architecture", string("rwkv6"))], &[2, 3], 0, 0, &data);
    assert!(matches!(open(&other), Err(Error::Config(_))));
    let good = file(&[llama()], &[2, 3], 0, 0, &data);
    for length in 0..good.len() {
        assert!(open(&good[..length]).is_err(), "cut to {length}");
    }
    for (at, wrong) in [(0, 0), (4, 1), (4, 4), (8, 0xff), (15, 0xff), (16, 0xff), (23, 0xff)] {
        let mut bytes = good.clone();
        bytes[at] = wrong;
        assert!(open(&bytes).is_err(), "byte {at}");
    }
}

#[test]
fn any_damage_is_an_error_or_another_file_but_never_a_panic() {
    use rand::{Rng, SeedableRng};
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf_llama/model.gguf");
    let whole = std::fs::read(folder).unwrap();
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..rng.random_range(1..4) {
            // Most of the file is data; its beginning decides what is read.
            let at = rng.random_range(0..5000);
            bytes[at] = rng.random();
        }
        if let Ok(file) = open(&bytes) {
            let _ = (file.config(), file.tokenizer());
            let shapes: Vec<_> =
                file.tensors.iter().map(|(name, entry)| (name, &entry.shape)).collect();
            for (name, shape) in shapes {
                let _ = file.values(name, shape).and_then(Values::widened);
            }
        }
    }
}
