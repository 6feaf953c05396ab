//! Where the contracts are: `deployments/<chain id>.json`, written by the deploy script.

use std::path::Path;

use alloy::{
    primitives::Address,
    sol_types::{Eip712Domain, eip712_domain},
};
use serde::Deserialize;

use crate::{Error, Result, voucher};

/// Who tells Settlement that a blob is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certification {
    /// A development attestor, whose word DevCertVerifier takes.
    Attested,
    /// EigenDA's contract on L1, whose answers RelayedCertVerifier gets.
    Relayed {
        /// DaCertRelay on L1.
        relay: Address,
    },
}

/// Addresses of the contracts on one chain.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "File")]
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
    /// SpanIndexes.
    pub span_indexes: Address,
    /// InfluenceIndexes.
    pub influence_indexes: Address,
    /// IndexDisputes, which strikes indexes.
    pub index_disputes: Address,
    /// BondedFigures, which pay's factors come from.
    pub bonded_figures: Address,
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
    /// FactorFaults, which proves faults to Disputes.
    pub factor_faults: Address,
    /// CreditFaults, which proves faults to Disputes.
    pub credit_faults: Address,
    /// UseFaults, which proves faults to Disputes.
    pub use_faults: Address,
    /// EarningsArchive.
    pub earnings_archive: Address,
    /// The verifier of data-availability certificates that Settlement asks.
    pub da_cert_verifier: Address,
    /// What that verifier takes.
    pub certification: Certification,
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
    #[serde(default)]
    parameters: Parameters,
}

/// Files from before there was a choice have neither.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    da_verifier: Option<String>,
    da_relay: Option<Address>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Addresses {
    earner_registry: Address,
    datanet_registry: Address,
    model_registry: Address,
    model_mixes: Address,
    span_indexes: Address,
    influence_indexes: Address,
    index_disputes: Address,
    bonded_figures: Address,
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
    factor_faults: Address,
    credit_faults: Address,
    use_faults: Address,
    earnings_archive: Address,
    da_cert_verifier: Option<Address>,
    dev_cert_verifier: Option<Address>,
    relayed_cert_verifier: Option<Address>,
    sketch_votes: Address,
    validator_roll: Address,
    record_samples: Address,
}

impl Parameters {
    fn certification(&self, at: &Addresses) -> std::result::Result<Certification, String> {
        let is_relayed = match self.da_verifier.as_deref() {
            Some("dev") => false,
            Some("relayed") => true,
            Some(other) => {
                return Err(format!("parameters.daVerifier {other} is neither dev nor relayed"));
            }
            None => at.relayed_cert_verifier.is_some(),
        };
        match self.da_relay {
            _ if !is_relayed => Ok(Certification::Attested),
            Some(relay) if !relay.is_zero() => Ok(Certification::Relayed { relay }),
            _ => Err("parameters.daRelay is missing, and certificates are relayed".into()),
        }
    }
}

/// The verifier, under its general name or under that of its kind; never two different ones.
fn verifier(at: &Addresses, certification: Certification) -> std::result::Result<Address, String> {
    let (name, of_kind) = match certification {
        Certification::Attested => ("DevCertVerifier", at.dev_cert_verifier),
        Certification::Relayed { .. } => ("RelayedCertVerifier", at.relayed_cert_verifier),
    };
    match (at.da_cert_verifier, of_kind) {
        (Some(verifier), Some(other)) if verifier != other => {
            Err(format!("contracts.DaCertVerifier {verifier} is not contracts.{name} {other}"))
        }
        (Some(verifier), _) | (None, Some(verifier)) => Ok(verifier),
        (None, None) => Err(format!("contracts has neither DaCertVerifier nor {name}")),
    }
}

impl TryFrom<File> for Deployment {
    type Error = String;

    fn try_from(file: File) -> std::result::Result<Self, String> {
        let at = file.contracts;
        let certification = file.parameters.certification(&at)?;
        let da_cert_verifier = verifier(&at, certification)?;
        Ok(Self {
            chain_id: file.chain_id,
            // The script notes the block on which it runs, which may be the first contract's.
            block: file.from_block.saturating_sub(1),
            earner_registry: at.earner_registry,
            datanet_registry: at.datanet_registry,
            model_registry: at.model_registry,
            model_mixes: at.model_mixes,
            span_indexes: at.span_indexes,
            influence_indexes: at.influence_indexes,
            index_disputes: at.index_disputes,
            bonded_figures: at.bonded_figures,
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
            factor_faults: at.factor_faults,
            credit_faults: at.credit_faults,
            use_faults: at.use_faults,
            earnings_archive: at.earnings_archive,
            da_cert_verifier,
            certification,
            sketch_votes: at.sketch_votes,
            validator_roll: at.validator_roll,
            record_samples: at.record_samples,
        })
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const NAMES: [&str; 25] = [
        "EarnerRegistry",
        "DatanetRegistry",
        "ModelRegistry",
        "ModelMixes",
        "SpanIndexes",
        "InfluenceIndexes",
        "IndexDisputes",
        "BondedFigures",
        "FactorFaults",
        "FeeSchedule",
        "Staking",
        "PaymentChannels",
        "Settlement",
        "Disputes",
        "RowFaults",
        "AmountFaults",
        "RecordFaults",
        "ReceiptFaults",
        "CarryFaults",
        "CreditFaults",
        "UseFaults",
        "EarningsArchive",
        "SketchVotes",
        "ValidatorRoll",
        "RecordSamples",
    ];

    /// A file with these verifiers (name and byte of the address) and parameters.
    fn file(verifiers: &[(&str, u8)], parameters: &str) -> String {
        file_of(5, verifiers, parameters)
    }

    /// The same of any chain.
    pub(crate) fn file_of(chain: u64, verifiers: &[(&str, u8)], parameters: &str) -> String {
        let others = NAMES.map(|name| (name, 1));
        let contracts: Vec<_> = others
            .iter()
            .chain(verifiers)
            .map(|&(name, byte)| format!("\"{name}\": \"{}\"", Address::repeat_byte(byte)))
            .collect();
        let contracts = contracts.join(",");
        format!(
            r#"{{"chainId": {chain}, "fromBlock": 8, "contracts": {{{contracts}}}{parameters}}}"#
        )
    }

    fn parameters(kind: &str, relay: u8) -> String {
        let relay = Address::repeat_byte(relay);
        format!(r#", "parameters": {{"daVerifier": "{kind}", "daRelay": "{relay}", "owner": 1}}"#)
    }

    /// A deployment with either verifier.
    pub(crate) fn deployment(chain_id: u64, is_relayed: bool) -> Deployment {
        let text = match is_relayed {
            true => file(&[("RelayedCertVerifier", 7)], &parameters("relayed", 9)),
            false => file(&[("DevCertVerifier", 7)], ""),
        };
        Deployment { chain_id, ..Deployment::parse(&text).unwrap() }
    }

    #[test]
    fn the_verifier_is_found_under_its_general_name_and_under_that_of_its_kind() {
        let (dev, relayed) = (parameters("dev", 0), parameters("relayed", 9));
        let relay = Address::repeat_byte(9);
        for (verifiers, parameters, certification) in [
            (&[("DevCertVerifier", 7)][..], "", Certification::Attested),
            (&[("DevCertVerifier", 7)], &dev, Certification::Attested),
            (&[("DaCertVerifier", 7), ("DevCertVerifier", 7)], &dev, Certification::Attested),
            (&[("DaCertVerifier", 7)], &dev, Certification::Attested),
            (
                &[("DaCertVerifier", 7), ("RelayedCertVerifier", 7)],
                &relayed,
                Certification::Relayed { relay },
            ),
            (&[("RelayedCertVerifier", 7)], &relayed, Certification::Relayed { relay }),
        ] {
            let deployment = Deployment::parse(&file(verifiers, parameters)).unwrap();
            assert_eq!(deployment.da_cert_verifier, Address::repeat_byte(7));
            assert_eq!(deployment.certification, certification);
            assert_eq!((deployment.chain_id, deployment.block), (5, 7));
        }
    }

    #[test]
    fn a_file_without_one_verifier_and_its_relay_is_refused() {
        for (verifiers, parameters, rule) in [
            (&[][..], String::new(), "neither DaCertVerifier nor DevCertVerifier"),
            (&[("DevCertVerifier", 7)], parameters("relayed", 9), "nor RelayedCertVerifier"),
            (&[("RelayedCertVerifier", 7)], parameters("relayed", 0), "daRelay is missing"),
            (&[("RelayedCertVerifier", 7)], String::new(), "daRelay is missing"),
            (&[("DaCertVerifier", 7)], parameters("none", 9), "none is neither dev nor relayed"),
            (
                &[("DaCertVerifier", 7), ("DevCertVerifier", 8)],
                parameters("dev", 0),
                "is not contracts.DevCertVerifier",
            ),
        ] {
            let error = Deployment::parse(&file(verifiers, &parameters)).unwrap_err().to_string();
            assert!(error.contains(rule), "{error}");
        }
    }
}
