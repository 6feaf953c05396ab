//! What only a payer can see: a batch that contradicts the receipt of a call, or leaves it out.

use std::sync::Arc;

use alloy::{primitives::B256, sol_types::SolCall};
use attribution::settle::audit::{Audit, Evidence, Fault, Receipt};

use super::{Challenger, Dossier, Facts, Proof};
use crate::{
    Error, Result,
    chain::bindings::IReceiptFaults::{proveOmittedCall, proveReceiptCall},
    indexer::views::ChainBatch,
    votes::Purchase,
    worker::blocking,
};

impl Challenger {
    /// A batch's blobs.
    ///
    /// # Errors
    /// [`Error::Availability`] if the batch cannot be seen, [`Error::Prover`] if there are too few
    /// powers of tau for its blobs.
    pub async fn dossier(&self, id: B256, batch: &ChainBatch) -> Result<Arc<Dossier>> {
        let dossier = Dossier::fetch(&self.layer, &self.kzg, batch).await?;
        let unseen = || Error::Availability(format!("batch {id} cannot be seen"));
        dossier.map(Arc::new).ok_or_else(unseen)
    }

    /// Strikes a batch that is not what its operator's receipt of a bought call says. False if
    /// nothing can be proven of it.
    ///
    /// # Errors
    /// [`Error::Availability`] if an index cannot be read, [`Error::Dispute`] if the chain refuses the
    /// proof, [`Error::Prover`], [`Error::Store`].
    pub async fn hold_to_receipt(
        &self,
        id: B256,
        batch: &ChainBatch,
        dossier: &Arc<Dossier>,
        purchase: &Purchase,
    ) -> Result<bool> {
        let dossier = Arc::clone(dossier);
        let (registry, client, indexes) = (&self.registry, &self.client, &self.indexes);
        let facts =
            Facts::gather(registry, client, (indexes, None), id, batch.clone(), dossier, None)
                .await?;
        let (stage, purchase) = (self.clone(), purchase.clone());
        let proof = blocking(move || {
            let Some(fault) = fault(&facts, &purchase) else { return Ok(None) };
            stage.prove(&facts, &fault, purchase).map(Some)
        });
        match proof.await? {
            Some(proof) => self.dispute(id, proof).await.map(|_| true),
            None => Ok(false),
        }
    }

    fn prove(&self, facts: &Facts, fault: &Fault, purchase: Purchase) -> Result<Proof> {
        let Purchase { voucher, receipt, receipt_signature, .. } = purchase;
        let (batch, signature) = (facts.id, receipt_signature.into());
        let ledger = facts.dossier.ledger.open_rows(&self.kzg, &fault.rows)?;
        let calldata = match fault.evidence {
            Evidence::Receipt { ordinal } => {
                let missing = || Error::Dispute(format!("record {ordinal} has no witness"));
                let witness = facts.witness(ordinal.into()).ok_or_else(missing)?.into();
                proveReceiptCall { batch, ledger, witness, receipt, signature }.abi_encode()
            }
            _ => proveOmittedCall { batch, ledger, voucher, receipt, signature }.abi_encode(),
        };
        let to = self.registry.contracts().deployment.receipt_faults;
        Ok(Proof { rule: fault.rule, to, calldata: calldata.into() })
    }
}

fn fault(facts: &Facts, purchase: &Purchase) -> Option<Fault> {
    let told = &purchase.receipt;
    let receipt = Receipt {
        voucher: told.voucherDigest.0,
        fee: told.fee,
        tokens_in: told.tokensIn,
        tokens_out: told.tokensOut,
        output_hash: told.outputHash.0,
        sketch_hash: told.sketchHash.0,
    };
    let audit = Audit::new(&facts.dossier.ledger.rows, facts.of_batch(), facts);
    let time = purchase.voucher.call.time;
    audit.receipt_fault(&receipt).or_else(|| audit.omitted(receipt.voucher, time))
}
