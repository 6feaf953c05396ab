//! Figures that pay goes by, as whoever checks them meets them: what is posted and voted on, the
//! transactions about it, and verdicts that a node votes by.

mod verdict;

use alloy::{
    primitives::{Address, B256, U256},
    rpc::types::Filter,
    signers::local::PrivateKeySigner,
    sol_types::{SolCall, SolEvent},
};

pub use verdict::{FigureVerdict, Verdict};

use crate::{
    Error, Result,
    chain::{
        ChainClient, Deployment, Sent,
        bindings::{
            IBondedFigures::{self, Figure, Kind, Report, ReportPosted, Stage, Vote},
            IDatanetRegistry, IModelRegistry,
        },
    },
    factory::ReportedModel,
};

/// Most blocks in one request for events.
const RANGE_BLOCKS: u64 = 10_000;

/// BondedFigures of a deployment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Figures {
    chain: ChainClient,
    deployment: Deployment,
}

/// A figure with its vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedFigure {
    /// Its number, from 1.
    pub number: u64,
    /// What the contract keeps.
    pub figure: Figure,
    /// How the vote on it is; `None` if nobody challenged it.
    pub vote: Option<Vote>,
}

/// What may happen to a figure at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FigurePhase {
    /// It may be challenged, until a time (seconds).
    Window(u64),
    /// Validators commit, until a time.
    Committing(u64),
    /// Validators reveal, until a time.
    Revealing(u64),
    /// Anybody may resolve its vote.
    Resolvable,
    /// It was confirmed by a vote and is in force from a time that lies ahead.
    Confirmed(u64),
    /// It is in force, or was until a later one was.
    Accepted,
    /// It is out: False, undecided, or its vote was abandoned.
    Out(&'static str),
}

impl PostedFigure {
    /// What may happen to it at `now` (seconds).
    #[must_use]
    pub fn phase(&self, now: u64) -> FigurePhase {
        let from = self.figure.inForceFrom;
        match (self.figure.stage, &self.vote) {
            (Stage::Accepted, None) if now < from => FigurePhase::Window(from),
            (Stage::Accepted, Some(_)) if now < from => FigurePhase::Confirmed(from),
            (Stage::Accepted, _) => FigurePhase::Accepted,
            (Stage::Voting, Some(vote)) if now < vote.commitEndsAt => {
                FigurePhase::Committing(vote.commitEndsAt)
            }
            (Stage::Voting, Some(vote)) if now < vote.revealEndsAt => {
                FigurePhase::Revealing(vote.revealEndsAt)
            }
            (Stage::Voting, _) => FigurePhase::Resolvable,
            (Stage::Undecided, _) => FigurePhase::Out("undecided"),
            (Stage::Abandoned, _) => FigurePhase::Out("abandoned"),
            _ => FigurePhase::Out("false"),
        }
    }
}

impl Figures {
    /// The figures on the chain at `rpc_url`; without a key they can be read only.
    ///
    /// # Errors
    /// [`Error::Config`] if the address is not a URL or the chain another, [`Error::Chain`] if it
    /// cannot be reached.
    pub async fn connect(
        rpc_url: &str,
        deployment: Deployment,
        signer: Option<PrivateKeySigner>,
    ) -> Result<Self> {
        let chain = ChainClient::new(rpc_url, signer)?;
        let deployment = chain.contracts(deployment).await?.deployment;
        Ok(Self { chain, deployment })
    }

    /// The contract.
    #[must_use]
    pub const fn contract(&self) -> Address {
        self.deployment.bonded_figures
    }

    /// Wei of a figure and of a challenge.
    ///
    /// # Errors
    /// [`Error::Chain`]; so for all that only reads.
    pub async fn bond(&self) -> Result<U256> {
        self.call(&IBondedFigures::bondCall {}).await
    }

    /// Time of the latest block (seconds).
    pub async fn now(&self) -> Result<u64> {
        let none = || Error::Chain("it has no latest block".into());
        Ok(self.chain.block(None).await?.ok_or_else(none)?.timestamp)
    }

    /// How many figures were ever posted.
    pub async fn count(&self) -> Result<u64> {
        Ok(self.call(&IBondedFigures::figureCountCall {}).await?.saturating_to())
    }

    /// A figure by its number; `None` if there is none.
    pub async fn get(&self, number: u64) -> Result<Option<PostedFigure>> {
        let of = U256::from(number);
        let figure = self.call(&IBondedFigures::figureOfCall { figure: of }).await?;
        if figure.stage == Stage::None {
            return Ok(None);
        }
        let vote = self.call(&IBondedFigures::voteOfCall { figure: of }).await?;
        let vote = (vote.revealEndsAt != 0).then_some(vote);
        Ok(Some(PostedFigure { number, figure, vote }))
    }

    /// The last figure of a model's influence; `None` if there never was one.
    pub async fn last_report(&self, model: B256) -> Result<Option<PostedFigure>> {
        let call = IBondedFigures::lastFigureOfCall { kind: Kind::Influence, subject: model };
        self.get(self.call(&call).await?.saturating_to()).await
    }

    /// What the report of a figure says, from the event that posted it; `None` for a figure of a
    /// contributor.
    pub async fn report(&self, number: u64) -> Result<Option<Report>> {
        let head = self.chain.block(None).await?.map_or(0, |block| block.number);
        let filter = Filter::new()
            .address(self.contract())
            .event_signature(ReportPosted::SIGNATURE_HASH)
            .topic1(U256::from(number));
        let mut to = head;
        // From the head back: figures that are looked at are young.
        loop {
            let from = to.saturating_sub(RANGE_BLOCKS).max(self.deployment.block);
            let logs = self.chain.logs(&filter.clone().from_block(from).to_block(to)).await?;
            if let Some(log) = logs.first() {
                let posted = ReportPosted::decode_log(&log.inner)
                    .map_err(|e| Error::Chain(format!("event of figure {number}: {e}")))?;
                return Ok(Some(posted.data.report));
            }
            if from <= self.deployment.block {
                return Ok(None);
            }
            to = from - 1;
        }
    }

    /// A validator's commitment to a figure's vote and its choice, once it is revealed.
    pub async fn ballot(&self, number: u64, validator: Address) -> Result<IBondedFigures::Ballot> {
        self.call(&IBondedFigures::ballotOfCall { figure: U256::from(number), validator }).await
    }

    /// What a model's files differ in from its registration: nothing if they are the registered ones.
    ///
    /// # Errors
    /// [`Error::Reverted`] for an unknown model, [`Error::Chain`].
    pub async fn differences(
        &self,
        model: B256,
        files: &ReportedModel,
    ) -> Result<Vec<&'static str>> {
        let registry = self.deployment.model_registry;
        let registered = self.chain.call(registry, &IModelRegistry::modelOfCall { model }).await?;
        let call = IModelRegistry::modelOfCall { model: registered.base };
        let base = self.chain.call(registry, &call).await?;
        let versions = self.chain.call(registry, &IModelRegistry::datanetsOfCall { model }).await?;
        let mut roots = Vec::new();
        for version in versions {
            let (datanet, version) = (version.datanet, version.version);
            let call = IDatanetRegistry::versionOfCall { datanet, version };
            roots.push(self.chain.call(self.deployment.datanet_registry, &call).await?.rowsRoot);
        }
        // The training log may have them in another order.
        let mut given = files.datanets.clone();
        roots.sort_unstable();
        given.sort_unstable();
        let compared = [
            ("the base model", base.contentHash == files.base),
            ("the adapter", registered.contentHash == files.adapter),
            ("the influence index", registered.indexHash == files.index),
            ("a Datanet version", roots == given),
        ];
        Ok(compared.into_iter().filter(|(_, same)| !same).map(|(what, _)| what).collect())
    }

    /// Challenges a figure with the bond.
    ///
    /// # Errors
    /// [`Error::Reverted`] if its window is over, it was challenged, the account has not the bond or
    /// nobody could vote; [`Error::Chain`]. So for all that sends, with the contract's reasons.
    pub async fn challenge(&self, number: u64) -> Result<Sent> {
        let bond = self.bond().await?;
        self.send(&IBondedFigures::challengeCall { figure: U256::from(number) }, bond).await
    }

    /// Ends the vote on a figure.
    pub async fn resolve(&self, number: u64) -> Result<Sent> {
        self.send(&IBondedFigures::resolveCall { figure: U256::from(number) }, U256::ZERO).await
    }

    /// Pays the bond of a figure that is in force back to its poster.
    pub async fn reclaim(&self, number: u64) -> Result<Sent> {
        self.send(&IBondedFigures::reclaimCall { figure: U256::from(number) }, U256::ZERO).await
    }

    /// Pays an account what votes left it; gives the wei.
    pub async fn withdraw(&self, account: Address) -> Result<U256> {
        let amount = self.call(&IBondedFigures::owedCall { account }).await?;
        self.send(&IBondedFigures::withdrawCall { account }, U256::ZERO).await?;
        Ok(amount)
    }

    async fn call<C: SolCall>(&self, call: &C) -> Result<C::Return> {
        self.chain.call(self.contract(), call).await
    }

    async fn send<C: SolCall>(&self, call: &C, value: U256) -> Result<Sent> {
        self.chain.send(self.contract(), call, value).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posted(stage: Stage, from: u64, vote: Option<(u64, u64)>) -> PostedFigure {
        let figure = Figure {
            subject: B256::ZERO,
            hash: B256::ZERO,
            poster: Address::ZERO,
            inForceFrom: from,
            challenger: Address::ZERO,
            retrainings: 8,
            bps: 7_200,
            kind: Kind::Influence,
            stage,
            bondHeld: true,
        };
        let vote = vote.map(|(commit, reveal)| Vote {
            panelStake: 3,
            revealedStake: 0,
            falseStake: 0,
            commitEndsAt: commit,
            revealEndsAt: reveal,
        });
        PostedFigure { number: 1, figure, vote }
    }

    #[test]
    fn a_figure_goes_through_its_phases() {
        let fresh = posted(Stage::Accepted, 100, None);
        assert_eq!(fresh.phase(99), FigurePhase::Window(100));
        assert_eq!(fresh.phase(100), FigurePhase::Accepted);
        let voting = posted(Stage::Voting, 0, Some((50, 60)));
        assert_eq!(voting.phase(49), FigurePhase::Committing(50));
        assert_eq!(voting.phase(50), FigurePhase::Revealing(60));
        assert_eq!(voting.phase(60), FigurePhase::Resolvable);
        let held = posted(Stage::Accepted, 100, Some((50, 60)));
        assert_eq!(held.phase(70), FigurePhase::Confirmed(100));
        assert_eq!(held.phase(100), FigurePhase::Accepted);
        let out = |stage| posted(stage, 0, Some((50, 60))).phase(70);
        assert_eq!(out(Stage::Struck), FigurePhase::Out("false"));
        assert_eq!(out(Stage::Undecided), FigurePhase::Out("undecided"));
        assert_eq!(out(Stage::Abandoned), FigurePhase::Out("abandoned"));
    }
}
