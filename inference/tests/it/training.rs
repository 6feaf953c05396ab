//! Training and gradients on the committed base model, through the files that the node uses.

use std::path::PathBuf;

use inference::{
    adapter::Adapter,
    eval::model_loss,
    gradient::row_gradient,
    model::{Decoder, NoAdapter},
    tokenizer::{Message, Tokenizer},
    train::{AdamWConfig, Example, LoraConfig, Schedule, Settings, TrainableLora, Trainer},
};

/// Not in the training text: written for this test.
const SOLIDITY: &str = "contract Orchard {
    mapping(address account => uint256) private baskets;

    /// @notice Adds apples to the caller's basket.
    function pick(uint256 amount) external returns (uint256) {
        require(amount > 0, \"Orchard: nothing to pick\");
        baskets[msg.sender] += amount;
        emit Picked(msg.sender, amount);
        return baskets[msg.sender];
    }
}
";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models/openledger-tiny")
}

fn example(tokenizer: &Tokenizer, text: &str) -> Example {
    Example::whole(tokenizer.encode_prompt(text).unwrap())
}

#[test]
fn committed_model_predicts_solidity_far_better_than_chance() {
    let decoder = Decoder::load(&folder()).unwrap();
    let tokenizer = Tokenizer::load(&folder()).unwrap();
    assert_eq!(tokenizer.vocab_size(), decoder.spec().vocab_size);
    let row = [example(&tokenizer, SOLIDITY)];
    let trained = model_loss(&decoder, &NoAdapter, &row).unwrap().perplexity();
    let untrained = Decoder::random(decoder.spec().clone(), 1).unwrap();
    let untrained = model_loss(&untrained, &NoAdapter, &row).unwrap().perplexity();
    assert!(untrained > 3000.0 && trained < 100.0, "trained {trained}, untrained {untrained}");
}

#[test]
fn committed_model_has_a_chat_template_and_small_files() {
    let tokenizer = Tokenizer::load(&folder()).unwrap();
    let question = Message { role: "user".into(), content: "What is a mapping?".into() };
    let prompt = tokenizer.encode_chat(&[question]).unwrap();
    assert_eq!(prompt[..2], [1, tokenizer.token_id("<|user|>").unwrap()]);
    let files = std::fs::read_dir(folder()).unwrap();
    let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 12_000_000, "{bytes}");
}

#[test]
fn trained_adapter_is_read_back_by_the_engine_and_has_gradients() {
    let decoder = Decoder::load(&folder()).unwrap();
    let tokenizer = Tokenizer::load(&folder()).unwrap();
    let config = LoraConfig { rank: 4, alpha: 8.0, ..LoraConfig::default() };
    let adapter = TrainableLora::new(&decoder, &config, 1).unwrap();
    let settings = Settings {
        schedule: Schedule { peak: 5e-3, warmup: 1, steps: 8, floor: 0.1 },
        optimizer: AdamWConfig::default(),
        clip: 1.0,
        batch: 1,
        seed: 3,
    };
    let rows = [example(&tokenizer, SOLIDITY)];
    let before = model_loss(&decoder, &NoAdapter, &rows).unwrap().nats;
    let mut trainer = Trainer::new(adapter.variables(), settings).unwrap();
    trainer.run(&decoder, &adapter, &rows, |_, _| Ok(())).unwrap();
    let after = model_loss(&decoder, &adapter, &rows).unwrap().nats;
    assert!(after < before - 0.1, "before {before}, after {after}");

    let dir = tempfile::tempdir().unwrap();
    adapter.save(dir.path(), &config, "openledger-tiny").unwrap();
    let loaded = Adapter::load(dir.path(), None, decoder.sites(), 1 << 24).unwrap();
    assert_eq!(loaded.weights(), adapter.weights().unwrap());

    let again = TrainableLora::from_weights(&decoder, &loaded.weights()).unwrap();
    let tokens = &rows[0].tokens;
    let gradient = row_gradient(&decoder, &again, tokens, 1).unwrap();
    assert_eq!(gradient, row_gradient(&decoder, &adapter, tokens, 1).unwrap());
    assert_eq!(gradient.len(), 7 * decoder.spec().layers);
    assert!(gradient.iter().all(|site| site.a.iter().any(|value| *value != 0.0)));
}
