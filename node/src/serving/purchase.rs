//! Calls that a key pays for: the node signs their vouchers.

use std::time::Duration;

use alloy::primitives::B256;
use axum::http::StatusCode;
use tokio::time::Instant;

use super::{
    Admitted, Prepared, Run, Serving,
    run::{Entry, within},
};
use crate::{
    Error,
    api::error::ApiError,
    keys::{ApiKey, Purse, Spending},
    voucher::{Call, SignedVoucher, Voucher},
    worker::blocking,
};

/// How often a voucher is signed again that another of the same channel, or the epoch, has overtaken.
const MAX_SIGNINGS: usize = 4;
/// How long such a call waits.
const PAUSE: Duration = Duration::from_millis(200);
/// Refusals that another voucher cures.
const CURABLE: [&str; 4] =
    ["time_out_of_range", "earlier_epoch", "epoch_sealed", "ceiling_too_low"];

/// A call that its key has paid for.
#[derive(Debug)]
pub(super) struct Paid {
    pub(super) voucher: SignedVoucher,
    pub(super) entry: Entry,
    pub(super) spending: Spending,
}

/// What a voucher says of a call besides who pays and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) model: B256,
    pub(super) price_version: u32,
    pub(super) prompt_hash: B256,
    pub(super) seed: u64,
    pub(super) max_tokens: u64,
    pub(super) max_fee: u64,
}

impl Serving {
    /// Pays for a call from the channel of a key, or lets it run without a record if none can be made
    /// of it. A seed that the body leaves open is random.
    ///
    /// # Errors
    /// 402 if the key pays for nothing, its payer has no channel to this operator, or that is used
    /// up; 429 if the key's limit of the day is reached; else as [`Self::admit`].
    pub async fn buy(&self, call: Prepared, key: &ApiKey) -> Result<Admitted, ApiError> {
        let seed = call.request.seed;
        if !call.is_recorded {
            return Ok(Admitted::New(Box::new(self.free(call)?)));
        }
        let order = Order {
            model: call.model.id,
            price_version: call.view.price_version,
            prompt_hash: call.prompt_hash,
            seed: seed.unwrap_or_else(rand::random),
            max_tokens: call.max_tokens,
            max_fee: call.max_fee(call.max_tokens)?,
        };
        let Paid { voucher, entry, spending } = self.pay(order, call.deadline, key).await?;
        call.check_voucher(&voucher.voucher.call)?;
        self.admitted(call, &voucher, entry, Some(spending))
    }

    /// A call without a record.
    ///
    /// # Errors
    /// 503 if the chain's head is too old to go by: adapters of models that were struck must not
    /// answer unnoticed.
    pub fn free(&self, call: Prepared) -> Result<Run, ApiError> {
        self.check_head()?;
        let seed = call.request.seed;
        Ok(self.unrecorded(call, seed))
    }

    /// Signs a voucher for an order and has it admitted.
    pub(super) async fn pay(
        &self,
        order: Order,
        deadline: Instant,
        key: &ApiKey,
    ) -> Result<Paid, ApiError> {
        let none = || payment_required("no_payer", "the key has no payer: a voucher is required");
        let purse = key.purse.as_deref().ok_or_else(none)?;
        let spending = self.hold(key, order.max_fee).await?;
        let mut signings = 0;
        loop {
            let result = within(deadline, self.sign(&order, purse, deadline)).await?;
            signings += 1;
            match result {
                Ok((voucher, entry)) => return Ok(Paid { voucher, entry, spending }),
                Err(refusal) if CURABLE.contains(&refusal.code) && signings < MAX_SIGNINGS => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// Sets a fee aside in a key's budget.
    async fn hold(&self, key: &ApiKey, fee: u64) -> Result<Spending, ApiError> {
        let (budget, time) = (key.budget.clone(), self.parts.registry.head().timestamp);
        let held = blocking(move || budget.hold(fee, time)).await?;
        held.ok_or_else(|| {
            let (limit, spent) = (key.budget.limit().unwrap_or(0), key.budget.spent(time));
            let message = format!(
                "the key may spend {limit} gwei a day, has spent {spent}, and this call may cost {fee}"
            );
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", message)
        })
    }

    async fn sign(
        &self,
        order: &Order,
        purse: &Purse,
        deadline: Instant,
    ) -> Result<(SignedVoucher, Entry), ApiError> {
        let none = || payment_required("no_channel", "the key's payer has no channel to this node");
        let channel = purse.channel(self.parts.operator)?.ok_or_else(none)?;
        let turn = purse.turn().await;
        let account = self.parts.recorder.charged(channel).await?;
        let sum = account.charged.checked_add(account.reserved);
        let ceiling = sum.and_then(|sum| sum.checked_add(order.max_fee));
        let overflow = || ApiError::from(Error::Money("a ceiling overflows".into()));
        let call = Call {
            modelId: order.model,
            priceVersion: order.price_version,
            promptHash: order.prompt_hash,
            seed: order.seed,
            maxTokens: order.max_tokens,
            time: self.parts.registry.head().timestamp,
        };
        let voucher = Voucher { channelId: channel, ceiling: ceiling.ok_or_else(overflow)?, call };
        let voucher = purse.sign(voucher)?;
        let entry = self.enter(deadline, &voucher, order.max_fee).await?;
        drop(turn);
        Ok((voucher, entry))
    }
}

fn payment_required(code: &'static str, message: &str) -> ApiError {
    ApiError::new(StatusCode::PAYMENT_REQUIRED, code, message).about("Authorization")
}
