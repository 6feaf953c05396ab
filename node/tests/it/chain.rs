//! Bindings against the committed ABI, and the indexer against a chain that misbehaves.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy::{
    json_abi::{Function, JsonAbi},
    primitives::{B256, U256, keccak256},
    sol,
    sol_types::SolInterface,
};
use axum::{Json, Router, routing::post};
use node::{
    chain::{
        ChainClient, Contracts, Deployment,
        bindings::{
            IAmountFaults, IBondedFigures, ICarryFaults, ICreditFaults, IDaCertRelay,
            IDaCertVerifier, IDatanetRegistry, IDisputes, IEarnerRegistry, IEarningsArchive,
            IFactorFaults, IFeeSchedule, IIndexDisputes, IInfluenceIndexes, IModelMixes,
            IModelRegistry, IPaymentChannels, IPayoutVerifier, IReceiptFaults, IRecordFaults,
            IRecordSamples, IRelayedCertVerifier, IRowFaults, ISettlement, ISketchVotes,
            ISpanIndexes, IStaking, IUseFaults, IValidatorRoll, Price,
        },
    },
    indexer::Indexer,
    registry::{Registry, Role},
    store::{MemoryStore, SharedStore, Table},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    anvil::{self, Anvil, signer},
    world::{contracts, dump},
};

sol! {
    function transferFrom(address from, address to, uint256 tokenId);
}

type Four = BTreeSet<[u8; 4]>;

fn abi(name: &str) -> JsonAbi {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../abi/{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// With what they return: a selector does not tell.
fn check_calls(ours: &JsonAbi, name: &str) {
    let theirs = abi(name);
    let known: BTreeSet<String> =
        theirs.functions().map(Function::signature_with_outputs).collect();
    for function in ours.functions() {
        let signature = function.signature_with_outputs();
        assert!(known.contains(&signature), "{name}: no function {signature}");
    }
}

fn check_errors<E: SolInterface>(name: &str) {
    let known: Four = abi(name).errors().map(|error| error.selector().0).collect();
    for selector in E::selectors() {
        assert!(known.contains(&selector), "{name}: no error {selector:02x?}");
    }
}

/// Events have to be all there, else the index would lack what they say; `unused` are not indexed.
fn check_events(name: &str, selectors: &[[u8; 32]], unused: &[&str]) {
    let ours: BTreeSet<B256> = selectors.iter().map(|&topic| topic.into()).collect();
    let theirs = abi(name);
    let theirs: BTreeSet<B256> = theirs
        .events()
        .filter(|event| !unused.contains(&event.name.as_str()))
        .map(|event| event.selector())
        .collect();
    let missing: Vec<_> = theirs.symmetric_difference(&ours).collect();
    assert!(missing.is_empty(), "{name}: {missing:?}");
}

#[test]
fn functions_and_errors_are_those_of_the_abi() {
    for (ours, name) in [
        (IPaymentChannels::abi::contract(), "PaymentChannels"),
        (ISettlement::abi::contract(), "Settlement"),
        (IPayoutVerifier::abi::contract(), "PayoutVerifier"),
        (IEarningsArchive::abi::contract(), "EarningsArchive"),
        (IDaCertVerifier::abi::contract(), "DevCertVerifier"),
        (IEarnerRegistry::abi::contract(), "EarnerRegistry"),
        (IFeeSchedule::abi::contract(), "FeeSchedule"),
        (IModelRegistry::abi::contract(), "ModelRegistry"),
        (IDatanetRegistry::abi::contract(), "DatanetRegistry"),
        (IStaking::abi::contract(), "Staking"),
        (IInfluenceIndexes::abi::contract(), "InfluenceIndexes"),
        (IModelMixes::abi::contract(), "ModelMixes"),
        (ISpanIndexes::abi::contract(), "SpanIndexes"),
        (IBondedFigures::abi::contract(), "BondedFigures"),
        (IIndexDisputes::abi::contract(), "IndexDisputes"),
        (IDaCertRelay::abi::contract(), "DaCertRelay"),
        (IRelayedCertVerifier::abi::contract(), "RelayedCertVerifier"),
        (ISketchVotes::abi::contract(), "SketchVotes"),
        (IValidatorRoll::abi::contract(), "ValidatorRoll"),
        (IRecordSamples::abi::contract(), "RecordSamples"),
    ] {
        check_calls(&ours, name);
    }
    check_errors::<ISettlement::ISettlementErrors>("Settlement");
}

/// Proofs are all there too: one that the node does not know is a fault that it cannot prove.
#[test]
fn fault_contracts_are_those_of_the_abi() {
    for (ours, name, count) in [
        (IRowFaults::abi::contract(), "RowFaults", 6),
        (IAmountFaults::abi::contract(), "AmountFaults", 5),
        (IRecordFaults::abi::contract(), "RecordFaults", 8),
        (IReceiptFaults::abi::contract(), "ReceiptFaults", 2),
        (ICarryFaults::abi::contract(), "CarryFaults", 3),
        (ICreditFaults::abi::contract(), "CreditFaults", 6),
        (IUseFaults::abi::contract(), "UseFaults", 11),
        (IFactorFaults::abi::contract(), "FactorFaults", 1),
    ] {
        check_calls(&ours, name);
        let proofs = |abi: &JsonAbi| -> BTreeSet<String> {
            let proofs = abi.functions().filter(|function| function.name.starts_with("prove"));
            proofs.map(Function::signature).collect()
        };
        assert_eq!(proofs(&ours), proofs(&abi(name)), "{name}");
        assert_eq!(ours.functions().count(), count, "{name}");
    }
}

#[test]
fn events_are_those_of_the_abi() {
    check_events(
        "PaymentChannels",
        IPaymentChannels::IPaymentChannelsEvents::SELECTORS,
        &["EIP712DomainChanged"],
    );
    check_events(
        "Settlement",
        ISettlement::ISettlementEvents::SELECTORS,
        &["OwnershipTransferred", "OwnershipTransferStarted"],
    );
    check_events(
        "Disputes",
        IDisputes::IDisputesEvents::SELECTORS,
        &[
            "FaultContractsSet",
            "StrikeSlashSet",
            "OwnershipTransferred",
            "OwnershipTransferStarted",
        ],
    );
    check_events(
        "SketchVotes",
        ISketchVotes::ISketchVotesEvents::SELECTORS,
        &["HoldReleased", "Rewarded", "Withdrawn"],
    );
    check_events("EarningsArchive", IEarningsArchive::IEarningsArchiveEvents::SELECTORS, &[]);
    check_events(
        "EarnerRegistry",
        IEarnerRegistry::IEarnerRegistryEvents::SELECTORS,
        &["StakingSet", "OwnershipTransferred", "OwnershipTransferStarted"],
    );
    check_events(
        "FeeSchedule",
        IFeeSchedule::IFeeScheduleEvents::SELECTORS,
        &["OwnershipTransferred", "OwnershipTransferStarted"],
    );
    check_events("DatanetRegistry", IDatanetRegistry::IDatanetRegistryEvents::SELECTORS, &[]);
    check_events(
        "ModelRegistry",
        IModelRegistry::IModelRegistryEvents::SELECTORS,
        &["Approval", "ApprovalForAll"],
    );
    check_events(
        "BondedFigures",
        IBondedFigures::IBondedFiguresEvents::SELECTORS,
        &[
            "Committed",
            "Revealed",
            "Rewarded",
            "Penalised",
            "BondReclaimed",
            "Withdrawn",
            "OwnershipTransferred",
            "OwnershipTransferStarted",
        ],
    );
    check_events("ModelMixes", IModelMixes::IModelMixesEvents::SELECTORS, &[]);
    check_events("SpanIndexes", ISpanIndexes::ISpanIndexesEvents::SELECTORS, &["BondWithdrawn"]);
    check_events(
        "InfluenceIndexes",
        IInfluenceIndexes::IInfluenceIndexesEvents::SELECTORS,
        &[
            "BondWithdrawn",
            "MinBondSet",
            "ArbiterSet",
            "OwnershipTransferred",
            "OwnershipTransferStarted",
        ],
    );
}

#[test]
fn a_deployment_file_is_read_and_a_broken_one_refused() {
    let a = |byte: &str| format!("0x{}", byte.repeat(20));
    let text = serde_json::json!({
        "chainId": 161_201,
        "fromBlock": 3,
        "contracts": {
            "EarnerRegistry": a("01"), "DatanetRegistry": a("02"), "ModelRegistry": a("03"),
            "InfluenceIndexes": a("09"), "IndexDisputes": a("0a"),
            "FeeSchedule": a("04"), "Staking": a("05"), "PaymentChannels": a("06"),
            "Settlement": a("07"), "DevCertVerifier": a("08"), "Disputes": a("09"),
            "EarningsArchive": a("0a"), "RowFaults": a("0b"), "AmountFaults": a("0c"),
            "RecordFaults": a("0d"), "ReceiptFaults": a("0e"), "CarryFaults": a("0f"),
            "CreditFaults": a("10"), "SketchVotes": a("11"), "ValidatorRoll": a("12"),
            "RecordSamples": a("13"), "UseFaults": a("14"), "ModelMixes": a("15"),
            "SpanIndexes": a("16"),
            "BondedFigures": a("16"), "FactorFaults": a("17"),
        },
        "parameters": { "epochSeconds": 10 },
    })
    .to_string();
    let deployment = Deployment::parse(&text).unwrap();
    assert_eq!((deployment.chain_id, deployment.block), (161_201, 2));
    assert_eq!(deployment.settlement, contracts().deployment.settlement);
    for broken in [
        "",
        "{}",
        &text.replace("Settlement", "Settled"),
        &text.replace("SketchVotes", "Votes"),
        &text.replace("0707", "07"),
    ] {
        let error = Deployment::parse(broken).unwrap_err();
        assert!(matches!(error, node::Error::Config(_)), "{error}");
    }
}

const INDEXED: [Table; 5] =
    [Table::Earners, Table::EarnerIndices, Table::Rules, Table::ChainChannels, Table::ChainBatches];

fn indexer(client: ChainClient, contracts: Contracts) -> (SharedStore, Registry, Indexer) {
    let store: SharedStore = Arc::new(MemoryStore::default());
    let registry = Registry::new(Arc::clone(&store), contracts).unwrap();
    let interval = Duration::from_millis(50);
    let indexer = Indexer::new(Arc::clone(&store), registry.clone(), client, interval);
    (store, registry, indexer)
}

#[tokio::test]
async fn a_chain_that_is_not_there_is_waited_for() {
    let port = anvil::free_port();
    let client = ChainClient::new(&format!("http://127.0.0.1:{port}"), None).unwrap();
    let (_, registry, indexer) = indexer(client, contracts());
    assert!(matches!(indexer.sync().await, Err(node::Error::Chain(_))));
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(indexer.run(shutdown.clone()));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!registry.is_fresh(Duration::from_secs(60)));
    assert_eq!(registry.chain_state().heard, None);

    let _anvil = Anvil::start(port).await;
    let mut states = registry.subscribe();
    let synced = states.wait_for(|state| state.synced);
    tokio::time::timeout(Duration::from_secs(30), synced).await.unwrap().unwrap();
    assert!(registry.is_fresh(Duration::from_secs(60)));
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_reorganisation_is_followed() {
    let anvil = Anvil::start(anvil::free_port()).await;
    let deployment = anvil.deploy(10, 5);
    let operator = anvil.client(Some(signer(1)));
    let contracts = operator.contracts(deployment.clone()).await.unwrap();
    let (store, registry, indexer) = indexer(anvil.client(None), contracts.clone());
    indexer.sync().await.unwrap();
    let before = dump(&*store, &INDEXED);
    assert_eq!(registry.earners().unwrap().len(), 1);
    let snapshot = anvil.request("evm_snapshot", serde_json::json!([])).await;

    let register = IStaking::registerOperatorCall {};
    let stake = U256::from(10).pow(U256::from(18));
    operator.send(deployment.staking, &register, stake).await.unwrap();
    anvil.pass(1).await;
    indexer.sync().await.unwrap();
    let account = operator.sender().unwrap();
    assert!(registry.earner_of(account, Role::Stakers).unwrap().is_some());

    // The chain forgets the registration; other blocks come in its place.
    anvil.request("evm_revert", serde_json::json!([snapshot])).await;
    for _ in 0..4 {
        anvil.pass(2).await;
    }
    indexer.sync().await.unwrap();
    assert_eq!(registry.earner_of(account, Role::Stakers).unwrap(), None);
    assert_eq!(dump(&*store, &INDEXED), before);

    // A store that starts now has the same.
    let (fresh, _, indexer) = self::indexer(anvil.client(None), contracts);
    for _ in 0..80 {
        anvil.request("evm_mine", serde_json::json!([])).await;
    }
    indexer.sync().await.unwrap();
    assert_eq!(dump(&*fresh, &INDEXED), before);
    assert!(fresh.last(Table::Blocks, &[]).unwrap().is_some());
}

#[tokio::test]
async fn a_models_new_owner_is_paid_for_calls_signed_after_the_notice() {
    let anvil = Anvil::start(anvil::free_port()).await;
    let deployment = anvil.deploy(10, 5);
    let clients = [1, 2].map(|number| anvil.client(Some(signer(number))));
    let [seller, buyer] = &clients;
    for client in &clients {
        let register = IEarnerRegistry::registerCall { role: Role::ModelOwner as u8 };
        client.send(deployment.earner_registry, &register, U256::ZERO).await.unwrap();
    }
    let base = IModelRegistry::registerBaseCall {
        contentHash: keccak256("base"),
        name: "base".into(),
        price: Price { inputRate: 1, outputRate: 1, platformFee: 1 },
    };
    let to = deployment.model_registry;
    let sent = seller.send(to, &base, U256::ZERO).await.unwrap();
    let model = sent.logs.last().unwrap().topics()[1];
    anvil.pass(1_000).await;
    let transfer = transferFromCall {
        from: seller.sender().unwrap(),
        to: buyer.sender().unwrap(),
        tokenId: model.into(),
    };
    let block = seller.send(to, &transfer, U256::ZERO).await.unwrap().block;
    let at = seller.block(Some(block)).await.unwrap().unwrap().timestamp;

    let contracts = seller.contracts(deployment).await.unwrap();
    let check = async |registry: &Registry| {
        let mut owners = BTreeSet::new();
        for time in [0, 1, at - 1, at, at + 3_599, at + 3_600, at + 3_601, u64::MAX] {
            let call = IModelRegistry::ownerEarnerAtCall { model, time };
            let theirs = seller.call(to, &call).await.unwrap();
            let ours = registry.owner_earner_at(model, time).unwrap();
            assert_eq!(ours.map(|earner| earner.0), Some(theirs), "{time} of {at}");
            owners.insert(theirs);
        }
        assert_eq!(owners.len(), 2);
        assert_eq!(registry.owner_earner_at(B256::ZERO, at).unwrap(), None);
    };
    let (_, registry, near) = indexer(anvil.client(None), contracts.clone());
    near.sync().await.unwrap();
    check(&registry).await;
    // Deep below the head events come without their blocks.
    for _ in 0..80 {
        anvil.request("evm_mine", serde_json::json!([])).await;
    }
    let (_, registry, deep) = indexer(anvil.client(None), contracts);
    deep.sync().await.unwrap();
    check(&registry).await;
}

#[tokio::test]
async fn a_deployment_of_another_chain_is_refused() {
    let anvil = Anvil::start(anvil::free_port()).await;
    let result = anvil.client(None).contracts(contracts().deployment).await;
    assert!(matches!(result, Err(node::Error::Config(_))), "{result:?}");
}

/// An endpoint before a chain that answers one request for a method with an error.
struct Refusing {
    url: String,
    refused: Arc<Mutex<Option<&'static str>>>,
}

impl Refusing {
    async fn start(chain: String) -> Self {
        let refused = Arc::new(Mutex::new(None));
        let next = Arc::clone(&refused);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = move |Json(request): Json<Value>| {
            let is_refused = next.lock().unwrap().take_if(|method| request["method"] == *method);
            let forward = http.post(&chain).json(&request);
            async move {
                if is_refused.is_some() {
                    let error = json!({ "code": -32_003, "message": "transaction rejected" });
                    let answer = json!({ "jsonrpc": "2.0", "id": request["id"], "error": error });
                    return Json(answer);
                }
                Json(forward.send().await.unwrap().json().await.unwrap())
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().route("/", post(answer));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, refused }
    }
}

#[tokio::test]
async fn a_refused_transaction_does_not_hold_up_the_next() {
    let anvil = Anvil::start(anvil::free_port()).await;
    let endpoint = Refusing::start(anvil.url.clone()).await;
    let client = ChainClient::new(&endpoint.url, Some(signer(1))).unwrap();
    let (to, call) = (contracts().deployment.staking, IStaking::registerOperatorCall {});
    for (sent, method) in (1..).zip(["eth_estimateGas", "eth_sendRawTransaction"]) {
        client.send(to, &call, U256::ONE).await.unwrap();
        *endpoint.refused.lock().unwrap() = Some(method);
        let error = client.send(to, &call, U256::ONE).await.unwrap_err().to_string();
        assert!(error.contains("transaction rejected"), "{method}: {error}");
        assert_eq!(client.balance(to).await.unwrap(), U256::from(sent));
    }
    client.send(to, &call, U256::ONE).await.unwrap();
    assert_eq!(client.balance(to).await.unwrap(), U256::from(3));
}
