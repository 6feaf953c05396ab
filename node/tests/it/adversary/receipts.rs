//! What only a payer with a receipt can see: a record that contradicts it, or none at all.

use alloy::{
    primitives::{U256, keccak256},
    signers::SignerSync,
};
use attribution::settle::{Info, Witness};
use node::{
    chain::{
        ChainClient,
        bindings::{IReceiptFaults, Receipt},
    },
    voucher::{self, SignedVoucher},
};

use super::{
    belief::{Operator, Posted, digest},
    posting::OnChain,
    registries::{EPOCH_SECONDS, Registries},
};

/// What the operator signed for the payer of a record.
fn receipt(on: &Registries, batch: &Posted, number: usize) -> Receipt {
    let (row, witness) = (&batch.rows[batch.records()[number]], &batch.witnesses[number]);
    let Info::Record { tokens_in, tokens_out, from, .. } = row.info else { panic!("a record") };
    let fee = row.value.unsigned_abs();
    let sketch: Vec<u8> = witness.sketch.iter().map(|x| x.cast_unsigned()).collect();
    Receipt {
        voucherDigest: digest(on, witness).into(),
        fee,
        charged: from + fee,
        tokensIn: tokens_in.into(),
        tokensOut: tokens_out.into(),
        outputHash: witness.output_hash.into(),
        sketchHash: keccak256(sketch),
    }
}

impl Operator {
    fn sign_receipt(&self, on: &Registries, receipt: &Receipt) -> Vec<u8> {
        let digest = voucher::digest(receipt, &on.contracts.voucher_domain());
        self.signer.sign_hash_sync(&digest).unwrap().as_bytes().to_vec()
    }

    /// The payer of the first record was told of fewer tokens and a smaller fee. A receipt that
    /// agrees with the record proves nothing.
    pub(super) async fn contradicted(
        &self,
        on: &Registries,
        batch: &Posted,
        posted: &OnChain,
        payer: &ChainClient,
    ) {
        let to = on.contracts.deployment.receipt_faults;
        let honest = receipt(on, batch, 0);
        let told = Receipt { tokensIn: honest.tokensIn - 1, fee: honest.fee - 7, ..honest.clone() };
        for (receipt, breaks) in [(honest, false), (told, true)] {
            let call = IReceiptFaults::proveReceiptCall {
                batch: posted.id,
                ledger: batch.open_rows(&batch.records()[..1]),
                witness: batch.witnesses[0].encode().into(),
                signature: self.sign_receipt(on, &receipt).into(),
                receipt,
            };
            let sent = payer.send(to, &call, U256::ZERO).await;
            assert_eq!(sent.is_ok(), breaks, "{sent:?}");
        }
    }

    /// The operator answered a call between the last two records and left it out.
    pub(super) async fn omitted(
        &self,
        on: &Registries,
        batch: &Posted,
        posted: &OnChain,
        payer: &ChainClient,
    ) {
        let last = batch.witnesses.len() - 1;
        let mut witness = Witness {
            seed: 1_000,
            time: batch.header.epoch * EPOCH_SECONDS + 50,
            ..batch.witnesses[last].clone()
        };
        self.sign(on, &mut witness);
        let receipt =
            Receipt { voucherDigest: digest(on, &witness).into(), ..receipt(on, batch, last) };
        let call = IReceiptFaults::proveOmittedCall {
            batch: posted.id,
            ledger: batch.open_rows(&batch.records()[last - 1..]),
            voucher: SignedVoucher::from(&witness).voucher,
            signature: self.sign_receipt(on, &receipt).into(),
            receipt,
        };
        payer.send(on.contracts.deployment.receipt_faults, &call, U256::ZERO).await.unwrap();
    }
}
