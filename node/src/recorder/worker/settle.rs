//! What a served call costs and who is owed for it.

use alloy::primitives::B256;
use attribution::settle::{self, ChannelId, ModelId, ModelOwner, Payees, Terms, Uses, Witness};

use super::{Flight, Worker};
use crate::{
    Error, Result,
    recorder::{Refusal, ServedCall},
    registry::Role,
    voucher,
};

impl Worker {
    /// Fee, shares and credits of a served call.
    pub(super) fn settle_record(
        &self,
        digest: B256,
        flight: &Flight,
        served: &ServedCall,
        witness: &Witness,
    ) -> Result<settle::Record> {
        let voucher = &flight.voucher.voucher;
        // Uses of rows that nothing was found of leave their part of the share to the flat rule.
        let mix = self.registry.mix_at(voucher.call.modelId, voucher.call.time)?;
        let record = settle::Record::mixed(
            settle_call(digest, voucher, served, witness)?,
            self.terms(&voucher.call)?,
            self.payees(&voucher.call)?,
            &served.scores,
            Uses { mix, ..served.uses.clone() },
        )?;
        if record.fee() > flight.max_fee {
            return Err(Error::Money(format!(
                "fee {} is above the reserved {}",
                record.fee(),
                flight.max_fee
            )));
        }
        Ok(record)
    }

    fn terms(&self, call: &voucher::Call) -> Result<Terms> {
        let missing = |what: &str| Error::Money(format!("call has no {what} on chain"));
        let price = self
            .registry
            .price_at(call.modelId, call.priceVersion)?
            .ok_or_else(|| missing("price"))?;
        let rules = self.registry.rules_at(call.time)?.ok_or_else(|| missing("fee rules"))?;
        let split = (&rules.split).try_into()?;
        Ok(Terms { price: (&price).into(), split, max_credits: rules.maxCredits })
    }

    /// Who gets the fixed shares of a call: whoever owns the model for calls signed when this one
    /// was. A base model without adapter has its owner paid like an adapter's.
    fn payees(&self, call: &voucher::Call) -> Result<Payees> {
        let missing = |what: String| Error::Money(format!("{what} has no earner index"));
        let model = call.modelId;
        let owner = self
            .registry
            .owner_earner_at(model, call.time)?
            .ok_or(Refusal::UnknownModel { model })?;
        let operator = self.operator();
        let stakers = self
            .registry
            .earner_of(operator, Role::Stakers)?
            .ok_or_else(|| missing(format!("operator {operator}")))?;
        Ok(Payees { owners: vec![ModelOwner { earner: owner, weight: 1 }], stakers })
    }
}

fn settle_call(
    digest: B256,
    voucher: &voucher::Voucher,
    served: &ServedCall,
    witness: &Witness,
) -> Result<settle::Call> {
    let narrow = |tokens: u64| {
        u32::try_from(tokens).map_err(|_| Error::Money(format!("{tokens} tokens are above 2^32")))
    };
    Ok(settle::Call {
        channel: ChannelId(voucher.channelId.0),
        from: 0,
        voucher: digest.0,
        model: ModelId(voucher.call.modelId.0),
        price_version: voucher.call.priceVersion,
        time: voucher.call.time,
        tokens_in: narrow(served.tokens_in)?,
        tokens_out: narrow(served.tokens_out)?,
        record: witness.hash(),
    })
}
