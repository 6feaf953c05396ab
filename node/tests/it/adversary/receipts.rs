//! What only a payer with a receipt can see: a record that contradicts it, or none at all.

use alloy::{primitives::keccak256, signers::SignerSync};
use attribution::settle::{Info, Witness};
use node::{
    chain::bindings::Receipt,
    challenger::Challenger,
    votes::{Purchase, PurchaseState},
    voucher::{self, SignedVoucher},
};

use super::{
    belief::{Operator, Posted, digest},
    posting::OnChain,
    registries::{EPOCH_SECONDS, Registries},
    watch::Watch,
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

    /// What a payer keeps of a call that it bought.
    fn bought(&self, on: &Registries, witness: &Witness, receipt: Receipt) -> Purchase {
        let SignedVoucher { voucher, signature } = SignedVoucher::from(witness);
        Purchase {
            voucher,
            signature,
            receipt_signature: self.sign_receipt(on, &receipt),
            receipt,
            request: b"prompt".to_vec(),
            answer: b"answer".to_vec(),
            state: PurchaseState::AgainstReceipt,
        }
    }

    /// The payer of the first record was told of fewer tokens and a smaller fee. A receipt that
    /// agrees with the record proves nothing.
    pub(super) async fn contradicted(
        &self,
        watch: &Watch<'_>,
        payer: &Challenger,
        batch: &Posted,
        posted: &OnChain,
    ) {
        let honest = receipt(watch.on, batch, 0);
        let told = Receipt { tokensIn: honest.tokensIn - 1, fee: honest.fee - 7, ..honest.clone() };
        for (receipt, breaks) in [(honest, false), (told, true)] {
            let purchase = self.bought(watch.on, &batch.witnesses[0], receipt);
            assert_eq!(hold(watch, payer, posted, &purchase).await.unwrap(), breaks);
        }
    }

    /// The operator answered a call between the last two records and left it out.
    pub(super) async fn omitted(
        &self,
        watch: &Watch<'_>,
        payer: &Challenger,
        batch: &Posted,
        posted: &OnChain,
    ) {
        let (on, last) = (watch.on, batch.witnesses.len() - 1);
        let mut witness = Witness {
            seed: 1_000,
            time: batch.header.epoch * EPOCH_SECONDS + 50,
            ..batch.witnesses[last].clone()
        };
        self.sign(on, &mut witness);
        let receipt =
            Receipt { voucherDigest: digest(on, &witness).into(), ..receipt(on, batch, last) };
        let purchase = self.bought(on, &witness, receipt);
        let forged = Purchase { receipt_signature: purchase.signature.clone(), ..purchase.clone() };
        hold(watch, payer, posted, &forged).await.unwrap_err();
        assert!(hold(watch, payer, posted, &purchase).await.unwrap());
    }
}

async fn hold(
    watch: &Watch<'_>,
    payer: &Challenger,
    posted: &OnChain,
    purchase: &Purchase,
) -> node::Result<bool> {
    let batch = watch.registry.batch(posted.id).unwrap().unwrap();
    let dossier = payer.dossier(posted.id, &batch).await.unwrap();
    payer.hold_to_receipt(posted.id, &batch, &dossier, purchase).await
}
