//! Figures that pay goes by: what events about them do to the tables.

use alloy::primitives::{Address, B256, U256};
use attribution::settle::EarnerIndex;
use borsh::{BorshDeserialize, BorshSerialize};

use super::overlay::Overlay;
use crate::{
    Error, Result,
    chain::bindings::IBondedFigures::{
        ConductPosted, DefaultInfluenceSet, FigureChallenged, FigureResolved,
        IBondedFiguresEvents as Event, ReportPosted,
    },
    store::{Table, read_sol, write_sol},
};

/// What a figure is of; numbers are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum FigureKind {
    /// How far pay follows a model's influence.
    Influence = 0,
    /// A contributor's reputation.
    Reputation = 1,
}

/// What a model's quality report says, in bps of a rank correlation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ReportView {
    /// Lower end of the 95% interval of the linear datamodeling score.
    pub lds_low: u16,
    /// The score.
    pub lds: u16,
    /// Upper end.
    pub lds_high: u16,
    /// Score of one retraining as a prediction of another.
    pub ceiling: u16,
    /// Retrainings that it was measured with.
    pub retrainings: u32,
}

/// A figure as of the head.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FigureView {
    /// What it is of.
    pub kind: FigureKind,
    /// The model's id, or the contributor's index.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub subject: B256,
    /// keccak256 of the file that says how it came about.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub hash: B256,
    /// Who put up the bond.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub poster: Address,
    /// The influence share or reputation.
    pub bps: u16,
    /// From when it is in force (seconds); `None` while it is voted on, and if it is out.
    pub in_force_from: Option<u64>,
    /// What a quality report says; `None` for a reputation.
    pub report: Option<ReportView>,
}

/// The vote on a challenged figure as of the head.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FigureVoteView {
    /// Who put up the other bond.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub challenger: Address,
    /// Until when (seconds) validators commit.
    pub commit_ends_at: u64,
    /// Until when (seconds) they reveal.
    pub reveal_ends_at: u64,
    /// Who may vote.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub panel: Vec<Address>,
    /// Whether it was resolved or abandoned.
    pub is_closed: bool,
}

/// A figure's subject that is a contributor.
pub(crate) fn contributor(earner: EarnerIndex) -> B256 {
    U256::from(earner.0).into()
}

/// Before the times from which figures of a subject are in force.
pub(crate) fn subject_key(kind: FigureKind, subject: B256) -> Vec<u8> {
    [&[kind as u8], subject.as_slice()].concat()
}

/// The contributor of a key of [`Table::FiguresInForce`], and the time; `None` for what is none.
pub(crate) fn contributor_of(key: &[u8]) -> Option<(EarnerIndex, u64)> {
    // The kind, the index in 32 bytes, the time.
    let (subject, time) = key.get(1..)?.split_first_chunk::<32>()?;
    let index = u32::try_from(U256::from_be_bytes(*subject)).ok()?;
    Some((EarnerIndex(index), u64::from_be_bytes(time.try_into().ok()?)))
}

fn in_force_key(view: &FigureView, from: u64) -> Vec<u8> {
    [&subject_key(view.kind, view.subject)[..], &from.to_be_bytes()].concat()
}

pub(super) fn event(tables: &mut Overlay<'_>, event: Event) -> Result<()> {
    match event {
        Event::ReportPosted(posted) => {
            let ReportPosted { figure, model, poster, report, influenceBps, inForceFrom } = posted;
            let view = FigureView {
                kind: FigureKind::Influence,
                subject: model,
                hash: report.hash,
                poster,
                bps: influenceBps,
                in_force_from: Some(inForceFrom),
                report: Some(ReportView {
                    lds_low: report.ldsLow,
                    lds: report.lds,
                    lds_high: report.ldsHigh,
                    ceiling: report.ceiling,
                    retrainings: report.retrainings,
                }),
            };
            post(tables, figure, &view)
        }
        Event::ConductPosted(posted) => {
            let ConductPosted {
                figure, earner, poster, evidence, reputationBps, inForceFrom, ..
            } = posted;
            let view = FigureView {
                kind: FigureKind::Reputation,
                subject: contributor(EarnerIndex(earner)),
                hash: evidence,
                poster,
                bps: reputationBps,
                in_force_from: Some(inForceFrom),
                report: None,
            };
            post(tables, figure, &view)
        }
        Event::FigureChallenged(challenged) => challenge(tables, challenged),
        Event::FigureResolved(FigureResolved { figure, inForceFrom, .. }) => {
            close(tables, figure)?;
            change(tables, figure, (inForceFrom != 0).then_some(inForceFrom))
        }
        Event::DefaultInfluenceSet(DefaultInfluenceSet { influenceBps, from }) => {
            tables.put(Table::DefaultInfluence, &from.to_be_bytes(), &influenceBps)
        }
    }
}

fn post(tables: &mut Overlay<'_>, figure: U256, view: &FigureView) -> Result<()> {
    if let Some(from) = view.in_force_from {
        tables.put(Table::FiguresInForce, &in_force_key(view, from), &number(figure)?)?;
    }
    tables.put(Table::Figures, &number(figure)?.to_be_bytes(), view)
}

/// Takes a figure out, and notes who votes on it.
fn challenge(tables: &mut Overlay<'_>, challenged: FigureChallenged) -> Result<()> {
    let FigureChallenged { figure, challenger, commitEndsAt, revealEndsAt, panel, .. } = challenged;
    let vote = FigureVoteView {
        challenger,
        commit_ends_at: commitEndsAt,
        reveal_ends_at: revealEndsAt,
        panel,
        is_closed: false,
    };
    tables.put(Table::FigureVotes, &number(figure)?.to_be_bytes(), &vote)?;
    change(tables, figure, None)
}

fn close(tables: &mut Overlay<'_>, figure: U256) -> Result<()> {
    let key = number(figure)?.to_be_bytes();
    let vote: Option<FigureVoteView> = tables.get(Table::FigureVotes, &key)?;
    let unknown = || Error::Chain(format!("vote on figure {figure} ended and never began"));
    let vote = FigureVoteView { is_closed: true, ..vote.ok_or_else(unknown)? };
    tables.put(Table::FigureVotes, &key, &vote)
}

/// Puts a figure in force at another time, or out of it.
fn change(tables: &mut Overlay<'_>, figure: U256, from: Option<u64>) -> Result<()> {
    let view: Option<FigureView> = tables.get(Table::Figures, &number(figure)?.to_be_bytes())?;
    let unknown = || Error::Chain(format!("event about unknown figure {figure}"));
    let mut view = view.ok_or_else(unknown)?;
    if let Some(before) = view.in_force_from {
        tables.delete(Table::FiguresInForce, &in_force_key(&view, before))?;
    }
    view.in_force_from = from;
    post(tables, figure, &view)
}

fn number(figure: U256) -> Result<u64> {
    u64::try_from(figure).map_err(|_| Error::Chain(format!("figure {figure} of more than 2^64")))
}
