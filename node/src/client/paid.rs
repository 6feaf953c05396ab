//! Calls, paid for from one channel.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy::primitives::{Address, B256, Signature, U256, keccak256};
use serde::Serialize;
use serde_json::{Value, json};

use super::{http::NodeClient, payer::Payer, reader::Reply, session::Session};
use crate::{
    Error, Result,
    api::{answer::Quote, request::ChatMessage},
    voucher::{self, Call, Receipt, SignedVoucher, Voucher},
};

/// How often a call is signed again after a refusal that a fresh voucher can cure.
const MAX_SIGNINGS: usize = 4;
/// Refusals that a fresh price version, epoch or ceiling can cure; the refused voucher is void.
const CURABLE: [&str; 6] = [
    "earlier_epoch",
    "epoch_sealed",
    "epoch_full",
    "ceiling_too_low",
    "price_version",
    "too_many_in_flight",
];
/// Refusals of a node that has not read the chain's latest blocks, which passes: the channel is known
/// to be open, and times are signed by the chain's head.
const BEHIND: [&str; 2] = ["unknown_channel", "time_out_of_range"];
/// How long a node may be behind the chain.
const CATCHING_UP: Duration = Duration::from_secs(60);
/// How long a refused call waits before it is signed again.
const SIGNING_PAUSE: Duration = Duration::from_millis(300);

/// What is asked of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatCall {
    /// Model id or registered name.
    pub model: String,
    /// The conversation.
    pub messages: Vec<ChatMessage>,
    /// Most tokens to generate.
    pub max_tokens: u64,
    /// 0 takes the most likely token.
    pub temperature: f32,
    /// Seed of the sampling.
    pub seed: u64,
    /// Whether the answer arrives in pieces.
    pub stream: bool,
    /// The rows that it is to be answered from.
    pub retrieval: Option<RetrievalAsk>,
}

/// Rows to answer from; whatever is left open is the node's choice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RetrievalAsk {
    /// Datanets to look in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub datanets: Vec<B256>,
    /// Most rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

impl ChatCall {
    /// One user message.
    pub fn ask(model: &str, text: &str) -> Self {
        let message = ChatMessage { role: "user".into(), content: text.into() };
        Self {
            model: model.into(),
            messages: vec![message],
            max_tokens: 64,
            temperature: 0.0,
            seed: 0,
            stream: true,
            retrieval: None,
        }
    }

    /// The body that is sent, and whose hash is signed.
    pub fn body(&self) -> Vec<u8> {
        let mut body = json!({
            "model": self.model,
            "messages": self.messages,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "stream": self.stream,
        });
        if let Some(retrieval) = &self.retrieval {
            body["retrieval"] = json!(retrieval);
        }
        if self.stream {
            body["stream_options"] = json!({ "include_usage": true });
        }
        body.to_string().into_bytes()
    }
}

/// A paid call with what both sides signed.
#[derive(Clone, Debug)]
pub struct Bought {
    /// What the payer signed.
    pub voucher: SignedVoucher,
    /// Body of the request.
    pub request: Vec<u8>,
    /// What the operator says about the call; its signature is in the reply.
    pub receipt: Receipt,
    /// The answer.
    pub reply: Reply,
    /// What the receipt's output hash is of: the answer's text, or the document of text and sources.
    pub output: Vec<u8>,
}

/// A payer's calls to one node from one channel. Cheap to clone; clones may call at the same time.
#[derive(Clone, Debug)]
pub struct PaidClient {
    node: NodeClient,
    payer: Arc<Payer>,
    operator: Address,
    channel: B256,
    session: Session,
}

impl PaidClient {
    /// Opens the channel to the node's operator under `salt`, or takes up the open one, and sees
    /// to a deposit of at least `deposit` wei.
    ///
    /// # Errors
    /// [`Error::Remote`] if the node cannot be reached before `deadline`, [`Error::Chain`] if the
    /// channel cannot be opened.
    pub async fn open(
        node: NodeClient,
        payer: Payer,
        salt: B256,
        deposit: U256,
        deadline: Duration,
    ) -> Result<Self> {
        let health = node.get("/v1/models", deadline).await?;
        let operator = health["operator"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Error::Remote("the node does not name its operator".into()))?;
        let channel = payer.open_channel(operator, salt, deposit).await?;
        Ok(Self { node, payer: Arc::new(payer), operator, channel, session: Session::default() })
    }

    /// Whom the channel pays.
    pub const fn operator(&self) -> Address {
        self.operator
    }

    /// The channel that pays.
    pub const fn channel(&self) -> B256 {
        self.channel
    }

    /// The node's API.
    pub const fn node(&self) -> &NodeClient {
        &self.node
    }

    /// Cumulative gwei charged from the channel, as far as known.
    pub fn charged(&self) -> u64 {
        self.session.charged()
    }

    /// Makes a paid chat call; `on_text` is given the answer's pieces as they arrive.
    ///
    /// Lost connections and a killed node are waited for until `deadline`, with the same voucher,
    /// so that the call is charged at most once.
    ///
    /// # Errors
    /// [`Error::Remote`] if the node refuses, its answer or receipt is wrong, or the deadline
    /// passes; [`Error::Chain`] if the chain's time cannot be read.
    pub async fn chat(
        &self,
        call: &ChatCall,
        deadline: Duration,
        on_text: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Reply> {
        Ok(self.buy(call, u64::MAX, deadline, on_text).await?.reply)
    }

    /// Makes a paid chat call of at most `limit` gwei, and keeps all that proves what was agreed.
    ///
    /// # Errors
    /// As [`Self::chat`]; [`Error::Remote`] before anything is signed if the call may cost more.
    pub async fn buy(
        &self,
        call: &ChatCall,
        limit: u64,
        deadline: Duration,
        on_text: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Bought> {
        let path = "/v1/chat/completions";
        let (body, started) = (call.body(), Instant::now());
        let mut signings = 0;
        loop {
            let left = deadline.saturating_sub(started.elapsed());
            let quote = self.node.quote(path, &body, self.channel, left).await?;
            self.check_quote(&quote)?;
            if quote.max_fee.0 > limit {
                let fee = quote.max_fee.0;
                return Err(Error::Remote(format!("it may cost {fee} gwei, above {limit}")));
            }
            let held = self
                .session
                .hold(quote.max_fee.0)
                .ok_or_else(|| Error::Remote(format!("fee of {} gwei", quote.max_fee.0)))?;
            let voucher = self.voucher(call, &quote, &body, held.ceiling).await?;
            let signed = self.payer.sign(voucher)?;
            let left = deadline.saturating_sub(started.elapsed());
            match self.node.call(path, &body, &signed, left, on_text).await? {
                Ok(reply) => {
                    let output = output(call, &reply)?;
                    let receipt = self.check_reply(&reply, &output, &signed.voucher, &quote)?;
                    self.session.learn(reply.statement.charged.0);
                    return Ok(Bought { voucher: signed, request: body, receipt, reply, output });
                }
                Err(refused) if may_pass(&refused.code, &mut signings, started.elapsed()) => {
                    drop(held);
                    tokio::time::sleep(SIGNING_PAUSE).await;
                }
                Err(refused) => return Err(refused.into_error()),
            }
        }
    }

    async fn voucher(
        &self,
        call: &ChatCall,
        quote: &Quote,
        body: &[u8],
        ceiling: u64,
    ) -> Result<Voucher> {
        let call = Call {
            modelId: quote.model_id,
            priceVersion: quote.price.price_version,
            promptHash: keccak256(body),
            seed: call.seed,
            maxTokens: quote.max_tokens,
            time: self.payer.now().await?,
        };
        Ok(Voucher { channelId: self.channel, ceiling, call })
    }

    /// A node must not have its caller sign for another contract or operator.
    fn check_quote(&self, quote: &Quote) -> Result<()> {
        let deployment = self.payer.deployment();
        if quote.chain_id != deployment.chain_id
            || quote.payment_channels != deployment.payment_channels
            || quote.operator != self.operator
        {
            return Err(Error::Remote(format!(
                "the node asks for payment to {} on contract {} of chain {}",
                quote.operator, quote.payment_channels, quote.chain_id
            )));
        }
        if let Some(charged) = quote.charged {
            self.session.learn(charged.0);
        }
        Ok(())
    }

    /// The receipt must be the operator's, about this voucher and this answer, within the quote.
    fn check_reply(
        &self,
        reply: &Reply,
        output: &[u8],
        voucher: &Voucher,
        quote: &Quote,
    ) -> Result<Receipt> {
        let wrong = |what: &str| Err(Error::Remote(format!("receipt: {what}")));
        let receipt = Receipt::from(&reply.statement.receipt);
        if receipt.voucherDigest != voucher::digest(voucher, self.payer.domain()) {
            return wrong("it is about another voucher");
        }
        if receipt.outputHash != keccak256(output) {
            return wrong("it is about another answer");
        }
        if receipt.fee > quote.max_fee.0 || receipt.charged > voucher.ceiling {
            return wrong("it charges more than was signed");
        }
        let signer = Signature::from_raw(&reply.statement.signature).ok().and_then(|signature| {
            let digest = voucher::digest(&receipt, self.payer.domain());
            signature.recover_address_from_prehash(&digest).ok()
        });
        if signer != Some(self.operator) {
            return wrong("the operator did not sign it");
        }
        Ok(receipt)
    }

    /// A JSON answer of the node, such as `/v1/earnings`.
    ///
    /// # Errors
    /// [`Error::Remote`].
    pub async fn get(&self, path: &str, deadline: Duration) -> Result<Value> {
        self.node.get(path, deadline).await
    }
}

/// What the output hash of an answer is of. Sources come if they were asked for, and only then.
fn output(call: &ChatCall, reply: &Reply) -> Result<Vec<u8>> {
    match (&call.retrieval, &reply.statement.retrieval) {
        (None, None) => Ok(reply.text.clone().into_bytes()),
        (Some(_), Some(retrieval)) => Ok(retrieval.document(&reply.text).to_bytes()),
        (Some(_), None) => Err(Error::Remote("the answer does not name its sources".into())),
        (None, Some(_)) => Err(Error::Remote("the answer has sources, none were asked for".into())),
    }
}

/// Whether a call that was refused for a reason is to be signed again, `elapsed` after it began.
/// `signings` counts those that only a fresh voucher can cure.
fn may_pass(code: &str, signings: &mut usize, elapsed: Duration) -> bool {
    if BEHIND.contains(&code) {
        return elapsed < CATCHING_UP;
    }
    *signings += 1;
    CURABLE.contains(&code) && *signings < MAX_SIGNINGS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_behind_the_chain_is_waited_for_as_long_as_it_may_be() {
        let mut signings = 0;
        for code in BEHIND.repeat(100) {
            assert!(may_pass(code, &mut signings, CATCHING_UP - Duration::from_millis(1)));
            assert!(!may_pass(code, &mut signings, CATCHING_UP));
        }
        assert!(may_pass("ceiling_too_low", &mut signings, CATCHING_UP));
    }

    #[test]
    fn a_refused_call_is_signed_so_often_and_one_that_is_wrong_once() {
        let mut signings = 0;
        for signed in 1..=MAX_SIGNINGS {
            assert_eq!(may_pass("epoch_sealed", &mut signings, CATCHING_UP), signed < MAX_SIGNINGS);
        }
        assert!(!may_pass("invalid_signature", &mut 0, Duration::ZERO));
    }
}
