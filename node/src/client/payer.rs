//! A payer's key and its channels on the chain.

use alloy::{
    primitives::{Address, B256, U256},
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::Eip712Domain,
};

use crate::{
    Error, Result,
    chain::{ChainClient, Contracts, Deployment, bindings::IPaymentChannels},
    voucher::{self, SignedVoucher, Voucher},
};

/// A payer: signs vouchers, opens channels and pays into them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Payer {
    signer: PrivateKeySigner,
    chain: ChainClient,
    deployment: Deployment,
    domain: Eip712Domain,
}

impl Payer {
    /// A payer on the chain at `rpc_url`.
    ///
    /// # Errors
    /// [`Error::Config`] if the address is not a URL, [`Error::Chain`] if the chain cannot be
    /// reached or is not the deployment's.
    pub async fn connect(
        rpc_url: &str,
        deployment: Deployment,
        signer: PrivateKeySigner,
    ) -> Result<Self> {
        let chain = ChainClient::new(rpc_url, Some(signer.clone()))?;
        let contracts: Contracts = chain.contracts(deployment).await?;
        let domain = contracts.voucher_domain();
        Ok(Self { signer, chain, deployment: contracts.deployment, domain })
    }

    /// The payer's account.
    pub const fn address(&self) -> Address {
        self.signer.address()
    }

    /// The connection, which sends with the payer's key.
    pub const fn chain(&self) -> &ChainClient {
        &self.chain
    }

    /// Where the contracts are.
    pub const fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// The EIP-712 domain of vouchers and receipts.
    pub const fn domain(&self) -> &Eip712Domain {
        &self.domain
    }

    /// Time of the chain's head in seconds: the clock that vouchers are signed by.
    ///
    /// # Errors
    /// [`Error::Chain`].
    pub async fn now(&self) -> Result<u64> {
        let head = self.chain.block(None).await?;
        let head = head.ok_or_else(|| Error::Chain("the chain has no latest block".into()))?;
        Ok(head.timestamp)
    }

    /// Opens the channel to `operator` under `salt` with `deposit` wei, or finds it open and adds
    /// what its deposit lacks.
    ///
    /// # Errors
    /// [`Error::Reverted`] if the contract refuses, [`Error::Chain`].
    pub async fn open_channel(&self, operator: Address, salt: B256, deposit: U256) -> Result<B256> {
        let to = self.deployment.payment_channels;
        let payer = self.address();
        let call = IPaymentChannels::channelIdOfCall { payer, operator, salt };
        let id = self.chain.call(to, &call).await?;
        let known = self.chain.call(to, &IPaymentChannels::channelOfCall { channel: id }).await;
        match known {
            Ok(channel) if !channel.payer.is_zero() => {
                if channel.deposit < deposit {
                    self.deposit(id, deposit - channel.deposit).await?;
                }
            }
            Ok(_) | Err(Error::Reverted(_)) => {
                let call = IPaymentChannels::openCall { operator, salt };
                self.chain.send(to, &call, deposit).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(id)
    }

    /// Pays `amount` wei into a channel.
    ///
    /// # Errors
    /// As [`Self::open_channel`].
    pub async fn deposit(&self, channel: B256, amount: U256) -> Result<()> {
        let call = IPaymentChannels::depositCall { channel };
        self.chain.send(self.deployment.payment_channels, &call, amount).await?;
        Ok(())
    }

    /// Signs a voucher.
    ///
    /// # Errors
    /// [`Error::Config`] if the key cannot sign.
    pub fn sign(&self, voucher: Voucher) -> Result<SignedVoucher> {
        let digest = voucher::digest(&voucher, &self.domain);
        let signature = self
            .signer
            .sign_hash_sync(&digest)
            .map_err(|error| Error::Config(format!("signing a voucher: {error}")))?;
        Ok(SignedVoucher { voucher, signature: signature.as_bytes().to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voucher::Call;

    /// A payer without a chain: signing needs none.
    fn payer() -> Payer {
        let signer: PrivateKeySigner =
            "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80".parse().unwrap();
        let chain = ChainClient::new("http://127.0.0.1:9", None).unwrap();
        let address = Address::repeat_byte(7);
        let deployment = Deployment {
            chain_id: 161201,
            block: 0,
            earner_registry: address,
            datanet_registry: address,
            model_registry: address,
            influence_indexes: address,
            index_disputes: address,
            bonded_figures: address,
            factor_faults: address,
            fee_schedule: address,
            staking: address,
            payment_channels: address,
            settlement: address,
            disputes: address,
            earnings_archive: address,
            da_cert_verifier: address,
            certification: crate::chain::Certification::Attested,
            row_faults: address,
            amount_faults: address,
            record_faults: address,
            receipt_faults: address,
            carry_faults: address,
            credit_faults: address,
            use_faults: address,
            model_mixes: address,
            span_indexes: address,
            sketch_votes: address,
            validator_roll: address,
            record_samples: address,
        };
        let domain = voucher::domain(deployment.chain_id, deployment.payment_channels);
        Payer { signer, chain, deployment, domain }
    }

    #[tokio::test]
    async fn a_signed_voucher_recovers_to_the_payer() {
        let payer = payer();
        let call = Call {
            modelId: B256::repeat_byte(1),
            priceVersion: 1,
            promptHash: B256::repeat_byte(2),
            seed: 3,
            maxTokens: 4,
            time: 5,
        };
        let voucher = Voucher { channelId: B256::repeat_byte(6), ceiling: 7, call };
        let signed = payer.sign(voucher).unwrap();
        assert_eq!(signed.signer(payer.domain()).unwrap(), payer.address());
        let mut other = signed;
        other.voucher.ceiling += 1;
        assert_ne!(other.signer(payer.domain()).ok(), Some(payer.address()));
    }
}
