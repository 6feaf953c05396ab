//! Where the contracts are: `deployments/<chain id>.json`, written by the deploy script.

use std::path::Path;

use alloy::{
    primitives::Address,
    sol_types::{Eip712Domain, eip712_domain},
};
use serde::Deserialize;

use crate::{Error, Result, voucher};

/// Addresses of the contracts on one chain.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "File")]
pub struct Deployment {
    /// The chain.
    pub chain_id: u64,
    /// A block before the first contract; indexing starts after it.
    pub block: u64,
    /// EarnerRegistry.
    pub earner_registry: Address,
    /// DatanetRegistry.
    pub datanet_registry: Address,
    /// ModelRegistry.
    pub model_registry: Address,
    /// ModelMixes.
    pub model_mixes: Address,
    /// InfluenceIndexes.
    pub influence_indexes: Address,
    /// IndexDisputes, which strikes indexes.
    pub index_disputes: Address,
    /// FeeSchedule.
    pub fee_schedule: Address,
    /// Staking.
    pub staking: Address,
    /// PaymentChannels.
    pub payment_channels: Address,
    /// Settlement.
    pub settlement: Address,
    /// Disputes, which strikes batches.
    pub disputes: Address,
    /// RowFaults, which proves faults to Disputes.
    pub row_faults: Address,
    /// AmountFaults, which proves faults to Disputes.
    pub amount_faults: Address,
    /// RecordFaults, which proves faults to Disputes.
    pub record_faults: Address,
    /// ReceiptFaults, which proves faults to Disputes.
    pub receipt_faults: Address,
    /// CarryFaults, which proves faults to Disputes.
    pub carry_faults: Address,
    /// CreditFaults, which proves faults to Disputes.
    pub credit_faults: Address,
    /// UseFaults, which proves faults to Disputes.
    pub use_faults: Address,
    /// EarningsArchive.
    pub earnings_archive: Address,
    /// The verifier of data-availability certificates that Settlement asks.
    pub da_cert_verifier: Address,
    /// SketchVotes, which settles what only running a call again shows.
    pub sketch_votes: Address,
    /// ValidatorRoll, whose stake votes.
    pub validator_roll: Address,
    /// RecordSamples, which draws what is run again.
    pub record_samples: Address,
}

/// The file as the deploy script writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    chain_id: u64,
    from_block: u64,
    contracts: Addresses,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Addresses {
    earner_registry: Address,
    datanet_registry: Address,
    model_registry: Address,
    model_mixes: Address,
    influence_indexes: Address,
    index_disputes: Address,
    fee_schedule: Address,
    staking: Address,
    payment_channels: Address,
    settlement: Address,
    disputes: Address,
    row_faults: Address,
    amount_faults: Address,
    record_faults: Address,
    receipt_faults: Address,
    carry_faults: Address,
    credit_faults: Address,
    use_faults: Address,
    earnings_archive: Address,
    dev_cert_verifier: Address,
    sketch_votes: Address,
    validator_roll: Address,
    record_samples: Address,
}

impl From<File> for Deployment {
    fn from(file: File) -> Self {
        let at = file.contracts;
        Self {
            chain_id: file.chain_id,
            // The script notes the block on which it runs, which may be the first contract's.
            block: file.from_block.saturating_sub(1),
            earner_registry: at.earner_registry,
            datanet_registry: at.datanet_registry,
            model_registry: at.model_registry,
            model_mixes: at.model_mixes,
            influence_indexes: at.influence_indexes,
            index_disputes: at.index_disputes,
            fee_schedule: at.fee_schedule,
            staking: at.staking,
            payment_channels: at.payment_channels,
            settlement: at.settlement,
            disputes: at.disputes,
            row_faults: at.row_faults,
            amount_faults: at.amount_faults,
            record_faults: at.record_faults,
            receipt_faults: at.receipt_faults,
            carry_faults: at.carry_faults,
            credit_faults: at.credit_faults,
            use_faults: at.use_faults,
            earnings_archive: at.earnings_archive,
            da_cert_verifier: at.dev_cert_verifier,
            sketch_votes: at.sketch_votes,
            validator_roll: at.validator_roll,
            record_samples: at.record_samples,
        }
    }
}

impl Deployment {
    /// Reads a deployment file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Config`] if it is not a deployment.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        Self::parse(&text).map_err(|e| Error::Config(format!("deployment {}: {e}", path.display())))
    }

    /// Parses a deployment file's text.
    ///
    /// # Errors
    /// [`Error::Config`] if it is not a deployment.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|e| Error::Config(e.to_string()))
    }
}

/// The contracts and the constants that they were made with, as read from the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contracts {
    /// Where they are.
    pub deployment: Deployment,
    /// Length of an epoch (seconds).
    pub epoch_seconds: u64,
    /// Seconds from posting to finality.
    pub dispute_window: u64,
    /// Earners per page, a power of two.
    pub page_size: u32,
}

impl Contracts {
    /// The EIP-712 domain of vouchers and receipts.
    pub const fn voucher_domain(&self) -> Eip712Domain {
        voucher::domain(self.deployment.chain_id, self.deployment.payment_channels)
    }

    /// The EIP-712 domain of development certificates.
    pub const fn certificate_domain(&self) -> Eip712Domain {
        eip712_domain! {
            name: "OpenLedger DevCertVerifier",
            version: "1",
            chain_id: self.deployment.chain_id,
            verifying_contract: self.deployment.da_cert_verifier,
        }
    }
}
