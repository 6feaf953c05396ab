//! Posts what an operator made, with a proof that it adds up.

use std::sync::OnceLock;

use alloy::primitives::{B256, Bytes, U256};
use attribution::settle::payouts_of;
use node::{
    chain::bindings::{CellOpening, Draw, G1Point, ISettlement, Interval, Submission},
    proofs::hash_of,
};
use prover::{
    BlobCommitment, G1Affine, LedgerCommitment,
    argument::{ChannelDraw, PayoutStatement, VerifierKey, prove_payouts},
    commit_payouts, evm,
};

use super::{
    belief::{Operator, Posted},
    registries::Registries,
};
use crate::anvil::{PAGE_SIZE, srs};

pub(super) fn point(affine: G1Affine) -> G1Point {
    let evm::G1 { x, y } = affine.into();
    G1Point { x: U256::from_be_bytes(x), y: U256::from_be_bytes(y) }
}

fn verifier_key() -> &'static VerifierKey {
    static KEY: OnceLock<VerifierKey> = OnceLock::new();
    KEY.get_or_init(|| VerifierKey::new(&srs(), PAGE_SIZE).unwrap())
}

/// A batch on the chain.
#[derive(Clone, Debug)]
pub(super) struct OnChain {
    pub(super) id: B256,
    pub(super) submission: Submission,
    pub(super) draws: Vec<Interval>,
    pub(super) gas: u64,
}

impl Posted {
    /// The ledger's blob.
    pub(super) fn blob(&self) -> Vec<u8> {
        let mut blob = prover::blob_from_rows(&self.rows).unwrap();
        for &(symbol, byte, bits) in &self.flips {
            blob[32 * symbol + byte] ^= bits;
        }
        blob
    }

    /// Opens whole rows of the ledger.
    pub(super) fn open_rows(&self, rows: &[usize]) -> CellOpening {
        let cells = rows.iter().flat_map(|row| 8 * row..8 * row + 8);
        let indices: Vec<u32> = cells.map(|cell| u32::try_from(cell).unwrap()).collect();
        let ledger = BlobCommitment::new(&srs(), self.blob()).unwrap();
        let opening = ledger.open_cells(&srs(), &indices).unwrap();
        let value = |&value: &prover::Fr| U256::from_be_bytes(evm::word(value));
        CellOpening {
            values: opening.values.iter().map(value).collect(),
            indices: opening.indices,
            quotient: point(opening.quotient),
            remainder: point(opening.remainder),
        }
    }
}

impl Operator {
    /// Publishes a batch's blobs, proves its payouts, and posts it on top of `previous`.
    pub(super) async fn post(
        &self,
        on: &Registries,
        name: &str,
        batch: &Posted,
        previous: B256,
    ) -> OnChain {
        batch.check();
        let (srs, blob) = (srs(), batch.blob());
        let ledger = LedgerCommitment::from_symbols(&srs, blob.clone()).unwrap();
        let payouts = payouts_of(&batch.rows).unwrap();
        let total = payouts.values().sum();
        assert_eq!(total, batch.draws.iter().map(|draw| draw.to - draw.from).sum::<u64>());
        let commitment = |blob: &Vec<u8>| BlobCommitment::new(&srs, blob.clone()).unwrap();
        let witnesses: Vec<_> = batch.blobs.iter().map(|b| commitment(b).commitment()).collect();
        let pages = commit_payouts(&srs, PAGE_SIZE, &payouts).unwrap();

        let (mut certificates, time) = (Vec::new(), on.time().await);
        let commitments = std::iter::once(ledger.commitment()).chain(witnesses.iter().copied());
        for (blob, commitment) in std::iter::once(&blob).chain(&batch.blobs).zip(commitments) {
            certificates.push(on.layer.put(point(commitment), blob.clone(), time).await.unwrap());
        }
        let draws: Vec<_> = batch.draws.iter().filter(|draw| draw.to > draw.from).collect();
        let statement = PayoutStatement {
            chain_id: batch.header.chain_id,
            settlement: on.contracts.deployment.settlement.into(),
            operator: self.signer.address().into(),
            batch: batch_id(on, self, batch.header.epoch),
            certificate_hash: hash_of(certificates.clone()).0,
            rows: u32::try_from(ledger.rows()).unwrap(),
            total,
            draws: draws
                .iter()
                .map(|draw| ChannelDraw { channel: draw.channel, amount: draw.to - draw.from })
                .collect(),
            ledger: ledger.commitment(),
            witnesses: witnesses.clone(),
            pages: pages.clone(),
        };
        let proof = prove_payouts(&srs, verifier_key(), &statement, &ledger, &payouts, |_| {});
        let submission = Submission {
            epoch: batch.header.epoch,
            previous,
            rows: statement.rows,
            total,
            witnessSymbols: u32::try_from(batch.layout.symbols()).unwrap(),
            slotCells: u32::try_from(batch.layout.cells()).unwrap(),
            ledger: point(ledger.commitment()),
            witnesses: witnesses.into_iter().map(point).collect(),
            pages: pages.iter().map(|&(page, _)| page).collect(),
            payouts: pages.iter().map(|&(_, payout)| point(payout)).collect(),
            certificates: certificates.into_iter().map(Bytes::from).collect(),
        };
        let covered = |draw: &&attribution::settle::Draw| {
            let highest = &batch.highest[&draw.channel];
            let (voucher, signature) = (highest.voucher.clone(), highest.signature.clone().into());
            Draw { voucher, signature, drawnTo: draw.to }
        };
        let call = ISettlement::submitBatchCall {
            submission: submission.clone(),
            draws: draws.iter().map(covered).collect(),
            proof: proof.unwrap().to_words().into_iter().map(U256::from_be_bytes).collect(),
        };
        let sent = self.client.send(on.contracts.deployment.settlement, &call, U256::ZERO).await;
        let gas = sent.unwrap_or_else(|error| panic!("{name}: {error}")).gas;
        let interval = |draw: &&attribution::settle::Draw| Interval {
            channel: draw.channel.0.into(),
            from: draw.from,
            to: draw.to,
        };
        let draws = draws.iter().map(interval).collect();
        OnChain { id: statement.batch.into(), submission, draws, gas }
    }
}

fn batch_id(on: &Registries, operator: &Operator, epoch: u64) -> attribution::settle::Hash {
    attribution::settle::BatchHeader {
        chain_id: on.contracts.deployment.chain_id,
        settlement: on.contracts.deployment.settlement.into(),
        operator: operator.signer.address().into(),
        epoch,
    }
    .batch_id()
}
