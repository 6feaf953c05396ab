//! A running node votes on a figure by the verdict that its operator left, through its death.

use alloy::primitives::{B256, U256, keccak256};
use node::{
    chain::bindings::{
        IBondedFigures::{self, Choice, Stage},
        IValidatorRoll,
    },
    figures::{FigureVerdict, Verdict},
};

use super::{
    peer::{funded, staked},
    world::World,
};
use crate::{
    anvil::VOTE_PERIOD,
    binary::{Files, eventually},
};

const VALIDATES: &str = r#"
[validator]
enabled = true

[da]
attestor_key_file = "attestor.hex"
"#;

fn report(hash: B256) -> IBondedFigures::Report {
    IBondedFigures::Report {
        hash,
        ldsLow: 0,
        lds: 100,
        ldsHigh: 200,
        ceiling: 5_000,
        retrainings: 16,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_node_votes_on_a_figure_by_its_operators_verdict() {
    let world = World::open(60).await;
    let market = &world.market;
    let validator = staked(market, 710, 4_000).await;
    let (stranger, challenger) =
        (funded(market, 720, 1_000).await, funded(market, 730, 1_000).await);
    let (folder, model) =
        (world.folder.path().join("validator"), world.folder.path().join("model"));
    let blobs = world.blobs();
    let files = Files::write(&folder, &market.anvil, &validator, &model, Some(&blobs), VALIDATES);
    let node = files.start();
    let contract = market.contracts.deployment.bonded_figures;
    let roll = market.contracts.deployment.validator_roll;
    let enrolled = IValidatorRoll::isEnrolledCall { account: validator.address() };
    let client = market.anvil.client(None);
    eventually("the node enrols", async || {
        market.anvil.pass(1).await;
        client.call(roll, &enrolled).await.unwrap()
    })
    .await;

    // Somebody who does not own the model says that its influence is worth nothing.
    let hash = keccak256("a report");
    let bond = client.call(contract, &IBondedFigures::bondCall {}).await.unwrap();
    let call = IBondedFigures::postReportCall { model: world.model, report: report(hash) };
    market.client(&stranger).send(contract, &call, bond).await.unwrap();
    let figure = U256::from(1);
    let challenge = IBondedFigures::challengeCall { figure };
    market.client(&challenger).send(contract, &challenge, bond).await.unwrap();
    let ballot = || async {
        let call = IBondedFigures::ballotOfCall { figure, validator: validator.address() };
        client.call(contract, &call).await.unwrap()
    };
    eventually("the node asks for a verdict", async || node.log().contains("A FIGURE IS VOTED ON"))
        .await;
    assert!(ballot().await.commitment.is_zero());
    let verdict = FigureVerdict { contract, figure: 1, hash, verdict: Verdict::False };
    verdict.leave(&folder.join("data")).unwrap();
    eventually("the node commits", async || !ballot().await.commitment.is_zero()).await;
    node.kill();

    market.anvil.pass(VOTE_PERIOD).await;
    let node = files.start();
    eventually("the node reveals", async || ballot().await.choice == Choice::False).await;
    market.anvil.pass(VOTE_PERIOD).await;
    let call = IBondedFigures::figureOfCall { figure };
    eventually("the node resolves", async || {
        client.call(contract, &call).await.unwrap().stage == Stage::Struck
    })
    .await;
    eventually("the node is paid", async || {
        let account = validator.address();
        let owed = IBondedFigures::owedCall { account };
        client.call(contract, &owed).await.unwrap().is_zero()
    })
    .await;
    node.stop();
}
