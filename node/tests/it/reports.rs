//! Quality reports from the command line: measured, posted, checked, challenged, voted on.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use alloy::{
    primitives::{Address, B256, U256},
    signers::local::PrivateKeySigner,
};
use inference::train::LoraConfig;
use node::{
    chain::bindings::IBondedFigures::{self, Choice, Stage},
    datanet::{Contribution, Datanet, assemble},
    factory::{
        Correlation, FigureBps, IndexSettings, RegisterSettings, Report, SignedLog, TrainSettings,
        build_index, earners_on_chain, train,
    },
    store::{MemoryStore, Table},
    votes::{FigureCloser, FigureJudge},
};

use crate::{
    anvil::{self, Anvil, KEYS, VOTE_PERIOD, run},
    binary::write_key,
    market::{Market, coins},
    votes::{Peer, funded, tiny, validator},
    world::{Killed, key, rocks},
};

const WINDOW: u64 = 50_000;
const CHALLENGER: u64 = 800;
/// Names of functions, two ways to write them: rows of one teach the other little.
const NAMES: [&str; 16] = [
    "alpha", "bravo", "carol", "delta", "erin", "fidel", "golf", "hotel", "india", "julie", "kilo",
    "lima", "mike", "nova", "oscar", "papa",
];

/// A market with a model that was trained with rows held out, and folders.
struct World {
    market: Market,
    folder: tempfile::TempDir,
    challenger: PrivateKeySigner,
}

fn datanet(accounts: [Address; 2]) -> Datanet {
    let row = |(i, name): (usize, &&str)| Contribution {
        contributor: accounts[i % 2],
        text: match i % 2 {
            0 => format!("// Zork\nfunction {name}() returns (zork quux, zork {name}) {{\n"),
            _ => format!("// Math\nuint256 constant {name} = 10 ** 18 + 1;\nuint8 {name}2 = 7;\n"),
        },
        source: "zork.sol".into(),
    };
    let rows = NAMES.iter().enumerate().map(row).collect();
    Datanet::new("zork", "MIT", assemble(rows, &(0..NAMES.len()).collect::<Vec<_>>()))
}

fn priced(name: &str) -> RegisterSettings {
    RegisterSettings { name: name.into(), input_rate: 1, output_rate: 1, platform_fee: 1 }
}

impl World {
    async fn open() -> Self {
        let anvil = Anvil::start(anvil::free_port()).await;
        let deployment = anvil.deploy_figures(WINDOW, 60, 30);
        let contracts = anvil.client(None).contracts(deployment).await.unwrap();
        let operator = KEYS[1].parse().unwrap();
        let market = Market { anvil, contracts, operator, model: B256::ZERO, channels: vec![] };
        let challenger = funded(&market, CHALLENGER, 1_000).await;
        let folder = tempfile::tempdir().unwrap();
        let mut world = Self { market, folder, challenger };
        std::fs::write(world.at("deployment.json"), world.market.anvil.file.get().unwrap())
            .unwrap();
        write_key(&world.at("owner"), &KEYS[0].parse().unwrap());
        write_key(&world.at("challenger"), &world.challenger);
        world.register().await;
        world
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Trains, indexes and registers the model in `model` with the Datanet in `datanet`.
    async fn register(&mut self) {
        let (data, dir) = (self.at("datanet"), self.at("model"));
        datanet(self.market.contributors().await).save(&data).unwrap();
        let owner = self.market.registrar(0).await;
        let version = owner.datanet(&data).await.unwrap();
        let datanets = [Datanet::load(&data).unwrap()];
        let settings = TrainSettings {
            lora: LoraConfig { rank: 2, alpha: 4.0, ..LoraConfig::default() },
            steps: 16,
            batch: 2,
            rate: 3e-3,
            max_tokens: 40,
            held_out_every: 4,
            seed: 5,
        };
        let log = train(&tiny(), &datanets[0], &dir, &settings, &mut |_| {}).unwrap().log;
        SignedLog::sign(log, &KEYS[0].parse().unwrap()).unwrap().save(&dir).unwrap();
        let (client, at) = (self.market.anvil.client(None), &self.market.contracts.deployment);
        let earners = earners_on_chain(&client, at, &datanets).await.unwrap();
        let index = IndexSettings { dim: 64, side: 16, max_tokens: 40, ..IndexSettings::default() };
        build_index(&tiny(), &dir, &datanets, &earners, &index, &mut |_| {}).unwrap();
        let base = owner.base(&tiny(), &priced("base")).await.unwrap().id;
        let model = owner.adapter(&dir, base, &[version], &priced("adapter")).await.unwrap();
        self.market.model = model.id;
    }

    /// The model's files in another folder, as whoever downloads them has them.
    fn copied(&self, name: &str) -> PathBuf {
        let to = self.at(name);
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(self.at("model")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
            }
        }
        to
    }

    fn command(&self, first: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openledger"));
        command
            .args(first)
            .env_remove("OPENLEDGER_KEY")
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1");
        command
    }

    /// `openledger index report` of a model's folder.
    fn report(&self, dir: &Path, flags: &[&str], key: &str) -> Command {
        let mut command = self.command(&["index", "report"]);
        command.arg(dir).args(flags);
        command.args(["--rpc", &self.market.anvil.url]);
        command.arg("--deployment").arg(self.at("deployment.json")).arg("--key").arg(self.at(key));
        command
    }

    /// The same with base and Datanet, which measuring needs.
    fn measured(&self, dir: &Path, flags: &[&str], key: &str) -> Command {
        let mut command = self.report(dir, flags, key);
        command.arg("--base").arg(tiny()).arg("--datanet").arg(self.at("datanet"));
        command
    }

    /// `openledger figures`, with the challenger's key.
    fn figures(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&["figures", "--rpc", &self.market.anvil.url]);
        command.arg("--deployment").arg(self.at("deployment.json"));
        command.arg("--key").arg(self.at("challenger")).args(arguments);
        command
    }

    fn vote(&self, figure: &str, verdict: &str, data_dir: &Path) -> String {
        run(self.figures(&["vote", figure, verdict]).arg("--data-dir").arg(data_dir))
    }

    async fn figure(&self, figure: u64) -> IBondedFigures::Figure {
        let call = IBondedFigures::figureOfCall { figure: U256::from(figure) };
        let to = self.market.contracts.deployment.bonded_figures;
        self.market.anvil.client(None).call(to, &call).await.unwrap()
    }

    async fn ballot(&self, figure: u64, of: &Peer) -> IBondedFigures::Ballot {
        let validator = of.client.sender().unwrap();
        let call = IBondedFigures::ballotOfCall { figure: U256::from(figure), validator };
        let to = self.market.contracts.deployment.bonded_figures;
        of.client.call(to, &call).await.unwrap()
    }

    /// The model's report with figures that its owner made up, in a folder of its own.
    fn lie(&self) -> PathBuf {
        let dir = self.copied("lie");
        let honest = Report::load(&dir).unwrap();
        let lds = Correlation { mean: 0.875, low: 0.75, high: 0.9375 };
        let ceiling = Correlation { mean: 0.5, low: 0.25, high: 0.75 };
        let bps = FigureBps {
            lds_low: 7_500,
            lds: 8_750,
            lds_high: 9_375,
            ceiling: 5_000,
            influence: 10_000,
        };
        Report { lds, ceiling, bps, ..honest }.save(&dir).unwrap();
        dir
    }
}

fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_posted_checked_and_in_force_and_a_lie_is_voted_out() {
    let world = World::open().await;
    let model = world.at("model");
    let said = run(&mut world.measured(&model, &["--retrainings", "4", "--publish"], "owner"));
    assert!(said.contains("figure 1: bond 100000000000000000000 wei"), "{said}");
    let again = run(&mut world.report(&model, &["--show", "--publish"], "owner"));
    assert!(again.contains("figure 1 (posted before)"), "{again}");
    let listed = run(&mut world.figures(&["list", "--open"]));
    assert!(listed.contains("may be challenged"), "{listed}");
    let shown = run(&mut world.figures(&["show", "1"]));
    let report = Report::load(&model).unwrap();
    for part in [report.hash().to_string(), format!("{} bps", report.bps.influence)] {
        assert!(shown.contains(&part), "{shown}");
    }

    // Whoever has the files measures the same, and is told what may be done by it.
    let copy = world.copied("copy");
    let work = world.at("work");
    let check = |flags: &[&str]| {
        let mut command = world.measured(&copy, flags, "challenger");
        command.arg("--check").arg("--work").arg(&work);
        command
    };
    let said = run(&mut check(&["--challenge"]));
    assert!(said.contains("figure 1: Holds") && said.contains("the same"), "{said}");
    assert!(said.contains("not challenged"), "{said}");
    assert!(said.contains("who owns the model"), "{said}");
    assert_eq!(world.figure(1).await.stage, Stage::Accepted);
    let error = refused(world.report(&copy, &["--check"], "challenger").arg("--work").arg(&work));
    assert!(error.contains("--base"), "{error}");
    let error = refused(&mut world.report(&model, &["--reclaim"], "owner"));
    assert!(error.contains("WindowOpen"), "{error}");
    world.market.anvil.pass(WINDOW).await;
    let said = run(&mut world.report(&model, &["--reclaim"], "owner"));
    assert!(said.contains("paid back"), "{said}");

    // The owner boasts; others may not report yet, and need more retrainings than this.
    let lie = world.lie();
    let error = refused(&mut world.report(&lie, &["--show", "--publish"], "challenger"));
    assert!(error.contains("OwnerFirst"), "{error}");
    let said = run(&mut world.report(&lie, &["--show", "--publish"], "owner"));
    assert!(said.contains("figure 2"), "{said}");
    vote_out(&world, &copy).await;

    let peer = Peer::new(&world.market, &key(9), Arc::new(MemoryStore::default())).await;
    let now = peer.registry.head().timestamp;
    let share = peer.registry.influence_at(world.market.model, now).unwrap();
    assert_eq!(share, report.bps.influence, "what was in force stays");
}

/// Three validators, of which one measured, one was told and one was told late and wrongly at first.
async fn vote_out(world: &World, copy: &Path) {
    let folders: Vec<_> = (0..3).map(|number| world.at(&format!("validator {number}"))).collect();
    let mut validators = Vec::new();
    for (number, folder) in (700..).zip(&folders) {
        std::fs::create_dir_all(folder).unwrap();
        let peer = validator(&world.market, number, rocks(&folder.join("store"))).await;
        validators.push(peer);
    }
    let judge =
        |number: usize| FigureJudge::new(validators[number].context(), folders[number].clone());
    // One command measures, leaves the verdict for the node, and challenges with another key.
    let said = run(world
        .measured(copy, &["--check", "--challenge"], "challenger")
        .arg("--data-dir")
        .arg(&folders[0]));
    assert!(said.contains("figure 2: False") && said.contains("DIFFERS"), "{said}");
    assert!(said.contains("figure 2 is challenged with a bond of 100 OPEN"), "{said}");
    assert_eq!(world.figure(2).await.stage, Stage::Voting);
    world.vote("2", "false", &folders[1]);
    for peer in &validators {
        peer.sync().await;
    }

    assert!(judge(0).step().await.unwrap());
    assert!(!judge(0).step().await.unwrap(), "it is committed");
    // Without its salt on disk nothing is sent.
    let mut killed = validators[1].context();
    killed.store = Killed::after(Arc::clone(&killed.store), 0);
    assert!(FigureJudge::new(killed, folders[1].clone()).step().await.is_err());
    assert!(world.ballot(2, &validators[1]).await.commitment.is_zero());
    assert!(judge(1).step().await.unwrap());
    // Without a verdict nothing is done; the last one before the commitment counts.
    assert!(!judge(2).step().await.unwrap());
    world.vote("2", "holds", &folders[2]);
    world.vote("2", "false", &folders[2]);
    assert!(judge(2).step().await.unwrap());
    world.vote("2", "holds", &folders[2]);

    world.market.anvil.pass(VOTE_PERIOD).await;
    let listed = run(&mut world.figures(&["list"]));
    assert!(listed.contains("voted on: reveals for"), "{listed}");
    for (number, peer) in validators.iter().enumerate() {
        peer.sync().await;
        assert!(judge(number).step().await.unwrap(), "validator {number} reveals");
        assert!(!judge(number).step().await.unwrap());
        assert_eq!(world.ballot(2, peer).await.choice, Choice::False);
    }
    let error = refused(&mut world.figures(&["resolve", "2"]));
    assert!(error.contains("TooEarly"), "{error}");
    world.market.anvil.pass(VOTE_PERIOD).await;
    let said = run(&mut world.figures(&["resolve", "2"]));
    assert!(said.contains("out: false") && said.contains("100% for False"), "{said}");
    settle(world, &validators).await;
}

/// The challenger has its bond and a quarter of the other, and validators share a quarter.
async fn settle(world: &World, validators: &[Peer]) {
    let to = world.challenger.address().to_string();
    let said = run(&mut world.figures(&["withdraw", &to]));
    assert!(said.contains("125 OPEN paid"), "{said}");
    let mut gained = U256::ZERO;
    for peer in validators {
        let account = peer.client.sender().unwrap();
        peer.sync().await;
        let ballots = || peer.store.scan(Table::FigureBallots, &[], &[], 9).unwrap().len();
        assert_eq!(ballots(), 1, "one commitment each, also where it was repeated");
        let contract = world.market.contracts.deployment.bonded_figures;
        let owed = IBondedFigures::owedCall { account };
        gained += peer.client.call(contract, &owed).await.unwrap();
        let closer = FigureCloser::new(peer.context());
        assert!(closer.step().await.unwrap(), "what it is owed is withdrawn");
        assert!(!closer.step().await.unwrap());
        assert_eq!(peer.client.call(contract, &owed).await.unwrap(), U256::ZERO);
        assert_eq!(ballots(), 0);
    }
    assert!(gained <= coins(25) && gained > coins(25) - U256::from(10), "{gained}");
}
