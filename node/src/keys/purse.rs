//! A payer's key that the node holds.

use alloy::{
    primitives::{Address, B256, U256},
    signers::{SignerSync, local::PrivateKeySigner},
};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    Error, Result,
    registry::Registry,
    voucher::{self, SignedVoucher, Voucher},
};

/// Signs the vouchers of one payer's channel.
#[derive(Debug)]
pub struct Purse {
    signer: PrivateKeySigner,
    registry: Registry,
    turn: Mutex<()>,
}

impl Purse {
    pub(super) fn new(signer: PrivateKeySigner, registry: Registry) -> Self {
        Self { signer, registry, turn: Mutex::new(()) }
    }

    /// The payer.
    pub const fn address(&self) -> Address {
        self.signer.address()
    }

    /// Held from reading what is charged of the channel until the voucher above it is admitted.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The payer's channel to `operator` with the most left to draw; `None` if it has none.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn channel(&self, operator: Address) -> Result<Option<B256>> {
        let channels = self.registry.channels_to(operator)?.into_iter();
        let ours = channels.filter(|(_, channel)| channel.payer == self.address());
        let left = |channel: &crate::registry::ChannelView| {
            let drawn = U256::from(channel.drawn) * U256::from(1_000_000_000u64);
            channel.deposit.saturating_sub(channel.withdrawal).saturating_sub(drawn)
        };
        Ok(ours.max_by_key(|(id, channel)| (left(channel), *id)).map(|(id, _)| id))
    }

    /// Signs a voucher.
    ///
    /// # Errors
    /// [`Error::Config`] if the key cannot sign.
    pub fn sign(&self, voucher: Voucher) -> Result<SignedVoucher> {
        let digest = voucher::digest(&voucher, &self.registry.contracts().voucher_domain());
        let signature = self
            .signer
            .sign_hash_sync(&digest)
            .map_err(|error| Error::Config(format!("signing a voucher: {error}")))?;
        Ok(SignedVoucher { voucher, signature: signature.as_bytes().to_vec() })
    }
}
