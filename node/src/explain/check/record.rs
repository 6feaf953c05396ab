//! Signatures and hashes, and the record that the chain's terms give.

use alloy::primitives::{Address, B256, Signature, keccak256};
use attribution::settle::{
    Call, ChannelId, EarnerIndex, ModelId, ModelOwner, Payees, Record, Terms, Witness,
};

use super::{Claimed, uses};
use crate::{
    Result,
    explain::{Explanation, finding::Report},
    registry::{Registry, Role},
    voucher::{self, Receipt, SignedVoucher},
};

/// A record as its payer and its operator signed it.
pub(super) struct Signed<'a> {
    pub(super) registry: &'a Registry,
    pub(super) said: &'a Explanation,
    pub(super) witness: &'a Witness,
}

impl Signed<'_> {
    /// Who signed what.
    pub(super) fn check(&self, report: &mut Report) -> Result<()> {
        let domain = self.registry.contracts().voucher_domain();
        let signed = SignedVoucher::from(self.witness);
        let digest = voucher::digest(&signed.voucher, &domain);
        let channel = self.registry.channel(signed.voucher.channelId)?;
        let Some(channel) = channel else {
            report.note("voucher", false, format!("channel {} is unknown", self.witness.channel));
            return Ok(());
        };
        match signed.signer(&domain) {
            _ if digest != self.said.record.voucher_digest => {
                report.compare("voucher", &self.said.record.voucher_digest, &digest);
            }
            Ok(signer) if signer == channel.payer => {
                report.note("voucher", true, format!("signed by payer {signer}"));
            }
            // A contract's signature takes a call to it.
            Ok(signer) => report.skip(
                "voucher",
                format!("{signer} signed; the channel's payer is {}", channel.payer),
            ),
            Err(error) => report.note("voucher", false, error.to_string()),
        }
        self.receipt(report, channel.operator);
        self.fields(report);
        Ok(())
    }

    fn receipt(&self, report: &mut Report, operator: Address) {
        let receipt = Receipt::from(&self.said.receipt);
        let digest = voucher::digest(&receipt, &self.registry.contracts().voucher_domain());
        let signer = Signature::from_raw(&self.said.signature)
            .ok()
            .and_then(|signature| signature.recover_address_from_prehash(&digest).ok());
        let record = &self.said.record;
        let said = (record.voucher_digest, record.fee.0, record.tokens_in, record.tokens_out);
        let promised = (receipt.voucherDigest, receipt.fee, receipt.tokensIn, receipt.tokensOut);
        if signer != Some(operator) || self.said.operator != operator {
            let signer = signer.map_or_else(|| "nobody".into(), |signer| signer.to_string());
            report.note("receipt", false, format!("signed by {signer}, operator is {operator}"));
        } else if said != promised {
            report.note("receipt", false, format!("record {said:?}, receipt {promised:?}"));
        } else {
            report.note("receipt", true, format!("signed by operator {operator}"));
        }
    }

    /// What the record says against the witness that its hash binds.
    fn fields(&self, report: &mut Report) {
        let (record, receipt) = (&self.said.record, &self.said.receipt);
        let witness = self.witness;
        let sketch: Vec<u8> = witness.sketch.iter().map(|x| x.cast_unsigned()).collect();
        let sketch = keccak256(sketch);
        let (output, epoch) =
            (B256::new(witness.output_hash), self.registry.epoch_of(witness.time));
        let pairs = [
            ("channel", record.channel_id, witness.channel.0.into()),
            ("model", record.model_id, witness.model.0.into()),
            ("model named", self.said.model.id, witness.model.0.into()),
            ("request hash", record.prompt_hash, witness.prompt_hash.into()),
            ("answer hash", record.output_hash, output),
            ("answer hash of the receipt", receipt.output_hash, output),
            ("sketch hash", record.sketch_hash, sketch),
            ("sketch hash of the receipt", receipt.sketch_hash, sketch),
        ];
        let numbers = [
            ("price version", u64::from(record.price_version), witness.price_version.into()),
            ("time", record.time.0, witness.time),
            ("epoch", record.epoch.0, epoch),
        ];
        let hashes = pairs.into_iter().find(|(_, claimed, found)| claimed != found);
        let numbers = numbers.into_iter().find(|(_, claimed, found)| claimed != found);
        match (hashes, numbers) {
            (Some((what, claimed, found)), _) => {
                report.note("record", false, format!("{what}: claimed {claimed}, found {found}"));
            }
            (None, Some((what, claimed, found))) => {
                report.note("record", false, format!("{what}: claimed {claimed}, found {found}"));
            }
            (None, None) => {
                report.note("record", true, format!("hash {}", B256::from(witness.hash())))
            }
        }
    }

    /// The record that the chain's price, split, mix and payees give; `None` with a finding if the
    /// chain has not all of them or the scores and uses are none of a record.
    pub(super) fn settled(
        &self,
        report: &mut Report,
        scores: &[(EarnerIndex, i64)],
    ) -> Result<Option<Record>> {
        let (Some(terms), Some(payees)) = (self.terms()?, self.payees()?) else {
            report.note("fee", false, "the chain has no price, rules or payees for such a call");
            return Ok(None);
        };
        let mix = self.registry.mix_at(self.witness.model.0.into(), self.witness.time)?;
        let built = uses::claimed(self.said, mix).and_then(|uses| {
            let call = self.call()?;
            Record::mixed(call, terms, payees, scores, uses).map_err(|error| error.to_string())
        });
        match built {
            Ok(record) => Ok(Some(record)),
            Err(why) => {
                report.note("credits", false, why);
                Ok(None)
            }
        }
    }

    fn call(&self) -> std::result::Result<Call, String> {
        let (record, witness) = (&self.said.record, self.witness);
        let narrow = |tokens: u64| {
            u32::try_from(tokens).map_err(|_| format!("{tokens} tokens are above 2^32"))
        };
        Ok(Call {
            channel: ChannelId(witness.channel.0),
            from: 0,
            voucher: record.voucher_digest.0,
            model: ModelId(witness.model.0),
            price_version: witness.price_version,
            time: witness.time,
            tokens_in: narrow(record.tokens_in)?,
            tokens_out: narrow(record.tokens_out)?,
            record: witness.hash(),
        })
    }

    fn terms(&self) -> Result<Option<Terms>> {
        let witness = self.witness;
        let price = self.registry.price_at(witness.model.0.into(), witness.price_version)?;
        let rules = self.registry.rules_at(witness.time)?;
        let (Some(price), Some(rules)) = (price, rules) else { return Ok(None) };
        let split = (&rules.split).try_into()?;
        Ok(Some(Terms { price: (&price).into(), split, max_credits: rules.maxCredits }))
    }

    fn payees(&self) -> Result<Option<Payees>> {
        let witness = self.witness;
        let owner = self.registry.owner_earner_at(witness.model.0.into(), witness.time)?;
        let stakers = self.registry.earner_of(self.said.operator, Role::Stakers)?;
        let (Some(owner), Some(stakers)) = (owner, stakers) else { return Ok(None) };
        let owners = vec![ModelOwner { earner: owner, weight: 1 }];
        Ok(Some(Payees { owners, stakers }))
    }
}

/// Request and answer against the record's hashes.
pub(super) fn texts(claimed: &Claimed<'_>, witness: &Witness, report: &mut Report) {
    let pairs = [
        ("request", claimed.request, witness.prompt_hash),
        ("answer", claimed.answer, witness.output_hash),
    ];
    for (what, text, hash) in pairs {
        match text {
            None => report.skip(what, "it is not here"),
            Some(text) => report.compare(what, &B256::new(hash), &keccak256(text)),
        }
    }
}
