//! A payer's key and its channels on the chain.

use alloy::{
    network::EthereumWallet,
    primitives::{Address, B256, U256},
    providers::{DynProvider, Provider, ProviderBuilder},
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::Eip712Domain,
};

use crate::{
    Error, Result,
    chain::{Deployment, bindings::IPaymentChannels},
    voucher::{self, SignedVoucher, Voucher},
};

/// A payer: signs vouchers, opens channels and pays into them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Payer {
    signer: PrivateKeySigner,
    provider: DynProvider,
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
        let url = rpc_url
            .parse()
            .map_err(|error| Error::Config(format!("chain address {rpc_url:?}: {error}")))?;
        let wallet = EthereumWallet::from(signer.clone());
        let provider = ProviderBuilder::new().wallet(wallet).connect_http(url).erased();
        let found = provider.get_chain_id().await.map_err(chain)?;
        if found != deployment.chain_id {
            let expected = deployment.chain_id;
            return Err(Error::Chain(format!("chain id is {found}, not {expected}")));
        }
        let domain = voucher::domain(deployment.chain_id, deployment.payment_channels);
        Ok(Self { signer, provider, deployment, domain })
    }

    /// The payer's account.
    pub const fn address(&self) -> Address {
        self.signer.address()
    }

    /// The connection, which signs transactions with the payer's key.
    pub const fn provider(&self) -> &DynProvider {
        &self.provider
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
        let block = self.provider.get_block(alloy::eips::BlockId::latest()).await.map_err(chain)?;
        let block = block.ok_or_else(|| Error::Chain("the chain has no latest block".into()))?;
        Ok(block.header.timestamp)
    }

    /// Opens the channel to `operator` under `salt` with `deposit` wei, or finds it open and adds
    /// what its deposit lacks.
    ///
    /// # Errors
    /// [`Error::Chain`] if the chain cannot be reached or refuses.
    pub async fn open_channel(
        &self,
        operator: Address,
        salt: B256,
        deposit: U256,
    ) -> Result<B256> {
        let contract = self.channels();
        let id = contract
            .channelIdOf(self.address(), operator, salt)
            .call()
            .await
            .map_err(chain)?;
        let channel = contract.channelOf(id).call().await.ok().filter(|found| !found.payer.is_zero());
        match channel {
            None => {
                let pending =
                    contract.open(operator, salt).value(deposit).send().await.map_err(chain)?;
                confirmed(pending, "opening the channel").await?;
            }
            Some(found) if found.deposit < deposit => {
                self.deposit(id, deposit - found.deposit).await?;
            }
            Some(_) => {}
        }
        Ok(id)
    }

    /// Pays `amount` wei into a channel.
    ///
    /// # Errors
    /// [`Error::Chain`] if the chain cannot be reached or refuses.
    pub async fn deposit(&self, channel: B256, amount: U256) -> Result<()> {
        let pending =
            self.channels().deposit(channel).value(amount).send().await.map_err(chain)?;
        confirmed(pending, "the deposit").await
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

    fn channels(&self) -> IPaymentChannels::IPaymentChannelsInstance<DynProvider> {
        IPaymentChannels::new(self.deployment.payment_channels, self.provider.clone())
    }
}

fn chain(error: impl std::fmt::Display) -> Error {
    Error::Chain(error.to_string())
}

/// Waits for a transaction's receipt.
pub(crate) async fn confirmed(
    pending: alloy::providers::PendingTransactionBuilder<alloy::network::Ethereum>,
    what: &str,
) -> Result<()> {
    let receipt = pending.get_receipt().await.map_err(chain)?;
    if receipt.status() {
        return Ok(());
    }
    Err(Error::Chain(format!("{what} was reverted in {}", receipt.transaction_hash)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voucher::Call;

    /// A payer without a chain: signing needs none.
    fn payer() -> Payer {
        let signer: PrivateKeySigner =
            "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80".parse().unwrap();
        let provider = ProviderBuilder::new()
            .connect_http("http://127.0.0.1:9".parse().unwrap())
            .erased();
        let address = Address::repeat_byte(7);
        let deployment = Deployment {
            chain_id: 161201,
            block: 0,
            earner_registry: address,
            datanet_registry: address,
            model_registry: address,
            fee_schedule: address,
            staking: address,
            payment_channels: address,
            settlement: address,
            da_cert_verifier: address,
        };
        let domain = voucher::domain(deployment.chain_id, deployment.payment_channels);
        Payer { signer, provider, deployment, domain }
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
