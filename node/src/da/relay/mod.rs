//! Certificates from EigenDA's contract on L1 to `RelayedCertVerifier` on L2.
//!
//! For each blob: its certificate is in the journal before anything is sent, a transaction for it is
//! there, signed, before L1 gets it, and both stay until the certificate is too old for L2. So whenever
//! this program is killed, it goes on where it was: it neither puts a blob twice nor pays for two
//! transactions, because what it sends again has the same nonce.

mod config;
mod journal;
mod sender;

use std::sync::Arc;

use alloy::{eips::BlockId, primitives::Address, signers::local::PrivateKeySigner};
use tokio::sync::{Mutex, OnceCell};
use tracing::{info, warn};

pub use config::RelayConfig;
use journal::Journal;
pub use journal::{RelayRow, Signed};
use sender::{Outcome, Sender};

use super::BlobCommitment;
use crate::{
    Error, Result,
    chain::{
        ChainClient,
        bindings::{IDaCertRelay, IRelayedCertVerifier},
    },
    store::SharedStore,
};

/// Oldest certificate (seconds) that the contracts take.
const MAX_AGE: u64 = 12 * 3_600;
/// Seconds that are left of it at least, so that there is time to send what carries it.
const MARGIN: u64 = 1_800;
/// L1 blocks in which a transaction is expected; a higher fee is offered then.
const INCLUSION_BLOCKS: u64 = 15;
/// Seconds for which rows are kept: long after nobody asks for their certificates any more.
const KEPT: u64 = 7 * 86_400;

/// Both ends of the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayContracts {
    /// DaCertRelay on L1.
    pub relay: Address,
    /// RelayedCertVerifier on L2.
    pub verifier: Address,
}

/// Relays certificates. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Relay {
    journal: Journal,
    l2: ChainClient,
    sender: Sender,
    contracts: RelayContracts,
    config: RelayConfig,
    checked: Arc<OnceCell<()>>,
    // Two transactions at once would get the same nonce.
    turn: Arc<Mutex<()>>,
}

impl Relay {
    /// A relay that pays with `sender`'s key on L1 and looks at L2. Nothing is asked of either yet.
    ///
    /// # Errors
    /// [`Error::Config`] if the URL of L1 is malformed.
    pub fn new(
        config: RelayConfig,
        key: PrivateKeySigner,
        contracts: RelayContracts,
        l2: ChainClient,
        store: SharedStore,
    ) -> Result<Self> {
        let sender = Sender::new(&config.rpc_url, key, config.max_fee_gwei)?;
        let (checked, turn) = Default::default();
        Ok(Self { journal: Journal::new(store), l2, sender, contracts, config, checked, turn })
    }

    /// The certificate of a blob that was put before, once L2 knows it; `None` if there is none, or it
    /// is too old: then the blob has to be put.
    ///
    /// - `time`: of L2's head (seconds)
    ///
    /// # Errors
    /// [`Error::Pending`] while it is on its way, [`Error::Availability`] if EigenDA's contract refuses
    /// it or L2 does not hear of it, [`Error::Chain`], [`Error::Store`]. Calling again goes on.
    pub async fn resume(&self, of: &BlobCommitment, time: u64) -> Result<Option<Vec<u8>>> {
        let _turn = self.turn.lock().await;
        let Some(row) = self.journal.get(of)? else { return Ok(None) };
        self.advance(of, row, time).await
    }

    /// Takes a certificate that EigenDA just gave, and begins to relay it.
    ///
    /// - `certificate`: as EigenDA's contracts take it
    ///
    /// # Errors
    /// As [`Self::resume`].
    pub async fn begin(
        &self,
        of: &BlobCommitment,
        certificate: Vec<u8>,
        time: u64,
    ) -> Result<Option<Vec<u8>>> {
        let _turn = self.turn.lock().await;
        self.journal.prune(time.saturating_sub(KEPT))?;
        let row = RelayRow::new(certificate, time);
        self.journal.put(of, &row)?;
        self.advance(of, row, time).await
    }

    /// The next step of a certificate. The chains are asked first, so that nothing is sent for what has
    /// happened already, by whoever.
    async fn advance(
        &self,
        of: &BlobCommitment,
        row: RelayRow,
        time: u64,
    ) -> Result<Option<Vec<u8>>> {
        let call = IRelayedCertVerifier::storedAtOfCall {
            commitment: of.commitment.clone(),
            symbols: of.symbols,
            certificateHash: row.hash(),
        };
        let stored_at = self.l2.call(self.contracts.verifier, &call).await?;
        if stored_at != 0 {
            return Ok((time + MARGIN < stored_at + MAX_AGE).then_some(row.certificate));
        }
        let Some(signed) = row.signed.clone() else { return self.send(of, row, None, time).await };
        let head = self.sender.head().await?;
        let is_late = head >= signed.block.saturating_add(INCLUSION_BLOCKS);
        match self.sender.outcome(&signed).await? {
            Outcome::Included { failed: false, block }
                if head < block.saturating_add(self.config.patience_blocks) =>
            {
                Err(pending(format!("the message to L2 of L1 block {block}")))
            }
            Outcome::Included { failed, block } => {
                warn!(target: "node::da", block, failed, "relayed without effect: again");
                self.send(of, row, None, time).await
            }
            // Not at once: the node that knows the count may be ahead of the one that knows receipts.
            Outcome::Replaced if is_late => {
                warn!(target: "node::da", nonce = signed.nonce, "another transaction has the nonce");
                self.send(of, row, None, time).await
            }
            Outcome::Waiting if is_late => self.send(of, row, Some(signed), time).await,
            Outcome::Replaced | Outcome::Waiting => {
                self.sender.broadcast(&signed).await;
                Err(pending(format!("L1 to take transaction {}", signed.nonce)))
            }
        }
    }

    /// Signs a transaction, keeps it, and sends it; in place of another if there is one.
    async fn send(
        &self,
        of: &BlobCommitment,
        row: RelayRow,
        replaces: Option<Signed>,
        time: u64,
    ) -> Result<Option<Vec<u8>>> {
        self.check().await?;
        let call = IDaCertRelay::relayCall { certificate: row.certificate.clone().into() };
        let request = self.sender.request(self.contracts.relay, &call);
        match self.sender.client.simulate(request.clone(), BlockId::latest()).await {
            Err(Error::Reverted(why)) => return self.refused(of, &row, &why, time),
            result => result?,
        };
        if replaces.is_none() && row.sent >= self.config.attempts {
            return Err(Error::Availability(format!(
                "certificate {} was relayed {} times (da.relay.attempts), and L2 does not know it",
                row.hash(),
                row.sent
            )));
        }
        let signed = match (self.sender.sign(request, replaces.as_ref()).await, &replaces) {
            (Err(error), Some(old)) => {
                self.sender.broadcast(old).await;
                return Err(error);
            }
            (signed, _) => signed?,
        };
        let sent = row.sent + u32::from(replaces.is_none());
        let (nonce, transaction) = (signed.nonce, signed.hashes.last().copied());
        let row = RelayRow { signed: Some(signed.clone()), sent, ..row };
        self.journal.put(of, &row)?;
        self.sender.broadcast(&signed).await;
        info!(target: "node::da", nonce, ?transaction, attempt = sent, "certificate sent to L1");
        Err(pending(format!("L1 to take transaction {nonce}")))
    }

    /// What to do about a certificate that L1 does not take: one that is too old is put again.
    fn refused(
        &self,
        of: &BlobCommitment,
        row: &RelayRow,
        why: &str,
        time: u64,
    ) -> Result<Option<Vec<u8>>> {
        // EigenDA's contract is asked before the age is, so a bad one is refused for another reason.
        if why.contains("CertificateTooOld") || time >= row.put_at + MAX_AGE {
            warn!(target: "node::da", certificate = %row.hash(), why, "too old: the blob is put again");
            self.journal.delete(of)?;
            return Ok(None);
        }
        Err(Error::Availability(format!("DaCertRelay refuses a certificate: {why}")))
    }

    /// Refuses, once, to pay for messages to another deployment.
    async fn check(&self) -> Result<()> {
        let RelayContracts { relay, verifier } = self.contracts;
        let check = async || {
            let told = self.sender.client.call(relay, &IDaCertRelay::verifierCall {}).await?;
            if told != verifier {
                return Err(Error::Config(format!(
                    "DaCertRelay {relay} on L1 tells {told}, the deployment's verifier is {verifier}"
                )));
            }
            Ok(())
        };
        self.checked.get_or_try_init(check).await.copied()
    }
}

fn pending(what: String) -> Error {
    Error::Pending(format!("a certificate waits for {what}"))
}
