//! The dev chain: anvil on an OP Stack genesis, and the contracts on it.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use alloy::{
    primitives::{Address, Bytes, U256, address, b256},
    providers::{Provider, ProviderBuilder},
    rpc::types::TransactionRequest,
    signers::local::PrivateKeySigner,
};
use eyre::{Context, Result, bail, ensure};
use tokio::process::{Child, Command};

use crate::accounts::Cast;

/// `L1Block`, an OP Stack predeploy.
const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");
/// The first account of anvil's well-known mnemonic, which the genesis funds.
const FAUCET: alloy::primitives::B256 =
    b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
const CHAIN_ID: &str = "161201";
const BLOCK_SECONDS: u64 = 2;

/// A running chain; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Chain {
    _anvil: Child,
    pub(crate) url: String,
}

/// A chain's whole state and the time that it was taken at.
#[derive(Debug)]
pub(crate) struct State {
    file: PathBuf,
    timestamp: u64,
}

impl Chain {
    /// Starts a chain whose genesis is now.
    pub(crate) async fn start(genesis: &Path, work: &Path) -> Result<Self> {
        let text = fs::read(genesis).wrap_err_with(|| format!("{}", genesis.display()))?;
        let mut spec: serde_json::Value = serde_json::from_slice(&text)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        spec["timestamp"] = format!("{now:#x}").into();
        let file = work.join("genesis.json");
        fs::write(&file, serde_json::to_vec(&spec)?)?;
        let interval = BLOCK_SECONDS.to_string();
        let init = file.to_string_lossy().into_owned();
        Self::spawn(&["--init", &init, "--block-time", &interval], work, "chain.log").await
    }

    /// Starts a second chain from `state`, its clock set back to where that was taken.
    pub(crate) async fn resume(state: &State, work: &Path) -> Result<Self> {
        let load = state.file.to_string_lossy().into_owned();
        let chain = Self::spawn(&["--load-state", &load, "--no-mining"], work, "twin.log").await?;
        let provider = chain.provider();
        let time = U256::from(state.timestamp);
        let _: serde_json::Value = provider.raw_request("evm_setTime".into(), (time,)).await?;
        let _: serde_json::Value =
            provider.raw_request("evm_setIntervalMining".into(), (BLOCK_SECONDS,)).await?;
        Ok(chain)
    }

    async fn spawn(arguments: &[&str], work: &Path, log: &str) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = fs::File::create(work.join(log))?;
        let anvil = Command::new("tools/anvil")
            .args(["--network", "optimism", "--chain-id", CHAIN_ID, "--port", &port.to_string()])
            // The deploy script sends more than a block can take, and anvil forgets what does not fit.
            .arg("--disable-block-gas-limit")
            .args(arguments)
            .stdout(log.try_clone()?)
            .stderr(log)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .wrap_err("anvil did not start")?;
        let chain = Self { _anvil: anvil, url: format!("http://127.0.0.1:{port}") };
        for _ in 0..150 {
            if chain.provider().get_chain_id().await.is_ok() {
                return Ok(chain);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("the chain does not answer on {}", chain.url)
    }

    pub(crate) fn provider(&self) -> impl Provider + Clone + use<> {
        ProviderBuilder::new().connect_http(self.url.parse().expect("the URL is ours"))
    }

    /// `L1Block.version()`, which only an OP Stack genesis answers.
    pub(crate) async fn op_stack_version(&self) -> Result<String> {
        let call = TransactionRequest::default()
            .to(L1_BLOCK)
            .input(Bytes::from_static(&[0x54, 0xfd, 0x4d, 0x50]).into());
        let answer = self.provider().call(call).await?;
        ensure!(answer.len() >= 96, "L1Block does not answer; this is no OP Stack genesis");
        let length = answer[63] as usize;
        Ok(String::from_utf8_lossy(&answer[64..64 + length]).into_owned())
    }

    /// Time of the latest block, in seconds.
    pub(crate) async fn time(&self) -> Result<u64> {
        let block = self.provider().get_block(alloy::eips::BlockId::latest()).await?;
        Ok(block.map_or(0, |block| block.header.timestamp))
    }

    /// Sends everybody coins for their transactions and deposits.
    pub(crate) async fn fund(&self, cast: &Cast, amount: U256) -> Result<()> {
        let faucet = PrivateKeySigner::from_bytes(&FAUCET)?;
        let provider = ProviderBuilder::new().wallet(faucet).connect_http(self.url.parse()?);
        let mut pending = Vec::new();
        for account in cast.senders() {
            let transfer = TransactionRequest::default().to(account.address()).value(amount);
            pending.push(provider.send_transaction(transfer).await?);
        }
        for transfer in pending {
            ensure!(transfer.get_receipt().await?.status(), "a transfer was reverted");
        }
        Ok(())
    }

    /// Takes the whole state.
    pub(crate) async fn state(&self, work: &Path) -> Result<State> {
        let timestamp = self.time().await?;
        let dump: Bytes = self.provider().raw_request("anvil_dumpState".into(), ()).await?;
        let packed = work.join("state.json.gz");
        fs::write(&packed, &dump)?;
        let status = Command::new("gzip").arg("-df").arg(&packed).status().await?;
        ensure!(status.success(), "the chain's state could not be unpacked");
        Ok(State { file: work.join("state.json"), timestamp })
    }
}
