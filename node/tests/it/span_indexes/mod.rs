//! Span indexes that are wrong in one way each, which the challenger strikes, and honest ones, which it
//! leaves alone.

mod damage;
mod world;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use alloy::primitives::{U256, keccak256};
use inference::tokenizer::Tokenizer;
use node::{
    Error,
    catalog::SPANS_FOLDER,
    chain::bindings::ISpanIndexes,
    challenger::SpanExamination,
    datanet::{Contribution, Datanet, assemble},
    factory::write_spans,
};

use self::{
    damage::{ANOTHER_EARNER, ANOTHER_HASH, DAMAGES},
    world::{WINDOW, Watcher, World, signer},
};
use crate::{votes::tiny, world::Killed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_span_index_is_struck_and_an_honest_one_pays() {
    let world = World::open().await;
    let (honest, commitment) = world.model("honest", None).await;
    world.publish(honest, commitment).await;
    let mut wrong = BTreeMap::new();
    for damage in &DAMAGES {
        let (model, commitment) = world.model(damage.0, Some(damage)).await;
        world.publish(model, commitment).await;
        wrong.insert(model, damage.0);
    }
    let models = DAMAGES.iter().map(|(name, ..)| world.dir(name)).collect();
    let watcher = Watcher::new(&world, world.anvil.client(Some(signer(2))), models, "watcher");
    watcher.indexer.sync().await.unwrap();

    // Every process dies between the second thing that it finds and its note.
    let dying = || watcher.challenger(Killed::after(Arc::clone(&watcher.store), 1));
    while let Err(error) = dying().step().await {
        assert!(matches!(error, Error::Store(_)), "{error:?}");
        watcher.indexer.sync().await.unwrap();
    }
    while watcher.challenger(Arc::clone(&watcher.store)).step().await.unwrap() {}
    assert_eq!(watcher.found(honest), Some(SpanExamination::Clean));
    for (&model, name) in &wrong {
        assert!(world.index(model).await.struck, "{name}");
        let found = watcher.found(model);
        let is_ours = matches!(found, Some(SpanExamination::Struck { .. } | SpanExamination::Late));
        assert!(is_ours, "{name}: {found:?}");
    }
    assert!(!watcher.challenger(Arc::clone(&watcher.store)).step().await.unwrap());

    world.anvil.pass(WINDOW).await;
    watcher.indexer.sync().await.unwrap();
    let time = watcher.registry.head().timestamp;
    let hash = watcher.registry.span_index(honest).unwrap().unwrap().commitment_hash();
    assert_eq!(watcher.registry.paying_spans(honest, time).unwrap(), Some(hash));
    assert_eq!(world.index(honest).await.commitmentHash, hash);
    for &model in wrong.keys() {
        assert_eq!(watcher.registry.paying_spans(model, time).unwrap(), None);
    }
}

/// Of an index that is not what the rows give and whose files nobody else has, leaves are demanded: one,
/// and when that was shown four, which are all that are left. A publisher that shows all keeps its index,
/// though it pays later; one that withholds some, or all, is struck, and their deposits go back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaves_are_demanded_shown_and_missed() {
    let world = World::open().await;
    let mut models = Vec::new();
    // Files of one index would serve for another with the same commitment.
    let damages =
        [("shown", ANOTHER_EARNER), ("hidden", ANOTHER_EARNER), ("withheld", ANOTHER_HASH)];
    for (name, damage) in damages {
        let (model, mut commitment) = world.model(name, Some(&DAMAGES[damage])).await;
        if name == "hidden" {
            commitment.suffixRoot = keccak256("of a tree that nobody has");
        }
        world.publish(model, commitment).await;
        models.push(model);
    }
    let [shown, hidden, withheld] = models[..] else { panic!() };
    let client = world.anvil.client(Some(signer(2)));
    let watcher = Watcher::new(&world, client, vec![], "watcher");
    let to = world.contracts.deployment.span_indexes;
    let deposit = world.owner.call(to, &ISpanIndexes::demandDepositCall {}).await.unwrap();
    let open = async || {
        let mut open = Vec::new();
        for &model in &models {
            open.push(world.index(model).await.demands);
        }
        open
    };
    // A node that dies before it notes anything draws others the next time; one that dies after its first
    // note demands what it noted.
    watcher.indexer.sync().await.unwrap();
    let dying = watcher.challenger(Killed::after(Arc::clone(&watcher.store), 3));
    while matches!(dying.step().await, Ok(true)) {}
    watch(&watcher).await;
    assert_eq!(open().await, [1, 1, 1]);

    // The owner has the files of all, but what it published of one is nothing.
    let owner = |names: &[&str]| {
        let dirs = names.iter().map(|name| world.dir(name)).collect();
        let folder = format!("owner of {}", names.len());
        Watcher::new(&world, world.owner.clone(), dirs, &folder)
    };
    let answerer = owner(&["shown", "hidden", "withheld"]);
    answerer.indexer.sync().await.unwrap();
    assert!(answerer.answerer().step().await.unwrap());
    assert_eq!(open().await, [0, 1, 0]);
    watch(&watcher).await;
    assert_eq!(open().await, [4, 1, 4]);
    for model in [shown, withheld] {
        let Some(SpanExamination::Demanded { mut leaves, last, .. }) = watcher.found(model) else {
            panic!("{:?}", watcher.found(model))
        };
        leaves.sort_unstable();
        assert_eq!((leaves, last), (vec![0, 1, 2, 3, 4], 4), "each row once");
    }
    let answerer = owner(&["shown"]);
    answerer.indexer.sync().await.unwrap();
    assert!(answerer.answerer().step().await.unwrap());
    assert_eq!(open().await, [0, 1, 4]);
    watch(&watcher).await;
    assert_eq!(watcher.found(shown), Some(SpanExamination::Unproven));

    world.anvil.pass(WINDOW).await;
    let before = world.owner.balance(signer(2).address()).await.unwrap();
    watch(&watcher).await;
    for model in [hidden, withheld] {
        let found = watcher.found(model);
        assert!(matches!(found, Some(SpanExamination::Struck { .. })), "{found:?}");
        assert!(world.index(model).await.struck);
    }
    assert!(!world.index(shown).await.struck);
    let bond = world.index(shown).await.bond;
    let gained = world.owner.balance(signer(2).address()).await.unwrap() - before;
    let due = bond + U256::from(5) * deposit;
    assert!(gained <= due && gained > due - deposit / U256::from(10), "{gained} of {due}");
    assert_eq!(
        world.owner.balance(to).await.unwrap(),
        bond,
        "what is left is of the one that stands"
    );
}

/// Everything that a watcher finds to do.
async fn watch(watcher: &Watcher) {
    watcher.indexer.sync().await.unwrap();
    while watcher.challenger(Arc::clone(&watcher.store)).step().await.unwrap() {}
}

/// Whoever writes files must not leave anything where the index is looked for.
#[test]
fn a_build_that_was_stopped_leaves_nothing_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = &folder.path().join(SPANS_FOLDER);
    std::fs::create_dir_all(path.with_extension("partial")).unwrap();
    std::fs::create_dir_all(path).unwrap();
    std::fs::write(path.join("0.tokens"), "half").unwrap();
    let contributor = signer(2).address();
    let row = Contribution { contributor, text: "one two three".into(), source: String::new() };
    let datanet = Datanet::new("rows", "MIT", assemble(vec![row], &[0]));
    let earners = [(contributor, attribution::settle::EarnerIndex(7))].into();
    let tokenizer = Tokenizer::load(&tiny()).unwrap();
    let index = write_spans(&tokenizer, path, &[&datanet], &earners, &mut |_| {}).unwrap();
    assert_eq!(index.rows(), 1);
    assert_eq!(index.row(0).unwrap().earner.0, 7);
    assert_eq!(tokenizer.decode(&index.row_tokens(0).unwrap()), "one two three");
    let empty = Datanet::new("rows", "MIT", vec![]);
    let refused = write_spans(&tokenizer, path, &[&empty], &earners, &mut |_| {});
    assert!(matches!(refused, Err(Error::Datanet(_))), "{refused:?}");
}
