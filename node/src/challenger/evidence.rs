//! A fault as the transaction that proves it.

use alloy::{
    primitives::{Address, Bytes, U256},
    sol_types::SolCall,
};
use attribution::settle::{
    ModelId,
    audit::{Evidence, Fault, Rule},
};

use super::{facts::Facts, indexes::Index, span_evidence};
use crate::{
    Error, Result,
    chain::{
        Deployment,
        bindings::{
            CellOpening, ContributorProof, G1Point, IAmountFaults as Amount, ICarryFaults as Carry,
            ICreditFaults as Credit, IFactorFaults as Factor, IRecordFaults as Record,
            IRowFaults as Row,
        },
    },
    committer::Kzg,
};

/// A transaction that strikes a batch.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) rule: Rule,
    /// The fault contract.
    pub(super) to: Address,
    pub(super) calldata: Bytes,
}

/// What a proof is made from.
struct Maker<'a> {
    facts: &'a Facts,
    kzg: &'a Kzg,
}

/// Opens what a fault names.
///
/// # Errors
/// [`Error::Dispute`] if the evidence is not of this batch, [`Error::Prover`].
pub(super) fn prove(
    fault: &Fault,
    facts: &Facts,
    kzg: &Kzg,
    deployment: &Deployment,
) -> Result<Proof> {
    let maker = Maker { facts, kzg };
    let ledger = facts.dossier.ledger.open_rows(kzg, &fault.rows)?;
    let calldata = match fault.rule {
        Rule::Span => span_evidence::calldata(fault, facts, ledger)?,
        Rule::Citation => span_evidence::citation(fault, facts, ledger)?,
        _ => maker.calldata(&fault.evidence, ledger)?,
    };
    Ok(Proof { rule: fault.rule, to: contract(&fault.evidence, deployment), calldata })
}

/// Which contract a fault is proven to.
const fn contract(evidence: &Evidence, at: &Deployment) -> Address {
    use Evidence as E;
    match evidence {
        E::Malformed | E::Header | E::Row | E::Neighbours | E::Sequence | E::RecordCount => {
            at.row_faults
        }
        E::Split | E::Credit | E::CreditCount | E::Flat | E::Closing => at.amount_faults,
        E::Fee { .. }
        | E::Payee { .. }
        | E::Overlap
        | E::Outside
        | E::Voucher { .. }
        | E::Witness { .. }
        | E::WitnessMissing { .. }
        | E::NotEarning { .. } => at.record_faults,
        E::Receipt { .. } | E::Omitted => at.receipt_faults,
        E::Carry { .. } | E::CarryUnfounded { .. } | E::CarryLeftOut { .. } => at.carry_faults,
        E::Score { .. }
        | E::Stranger { .. }
        | E::WrongRows { .. }
        | E::LeftOut { .. }
        | E::TooMany
        | E::Unpaid { .. } => at.credit_faults,
        E::SpanUnfounded { .. }
        | E::SpanBeyond { .. }
        | E::SpanRange { .. }
        | E::SpanHolder { .. }
        | E::SpanRepeat { .. }
        | E::SpanHolders { .. }
        | E::SpanScore { .. }
        | E::SpanNested
        | E::SpanOutside
        | E::CitationUnfounded { .. }
        | E::Citation { .. } => at.use_faults,
        E::Factor { .. } => at.factor_faults,
    }
}

impl Maker<'_> {
    fn calldata(&self, evidence: &Evidence, ledger: CellOpening) -> Result<Bytes> {
        use Evidence as E;
        let batch = self.facts.id;
        Ok(match evidence {
            E::Malformed => encoded(&Row::proveMalformedCall { batch, ledger }),
            E::Header => encoded(&Row::proveHeaderCall { batch, ledger }),
            E::Row => encoded(&Row::proveRowCall { batch, ledger }),
            E::Neighbours => encoded(&Row::proveNeighboursCall { batch, ledger }),
            E::Sequence => encoded(&Row::proveSequenceCall { batch, ledger }),
            E::RecordCount => encoded(&Row::proveRecordCountCall { batch, ledger }),
            E::Split => encoded(&Amount::proveSplitCall { batch, ledger }),
            E::Credit => encoded(&Amount::proveCreditCall { batch, ledger }),
            E::CreditCount => encoded(&Amount::proveCreditCountCall { batch, ledger }),
            E::Flat => encoded(&Amount::proveFlatCall { batch, ledger }),
            E::Closing => encoded(&Amount::proveClosingCall { batch, ledger }),
            E::Carry { .. } | E::CarryUnfounded { .. } | E::CarryLeftOut { .. } => {
                self.carry(evidence, ledger)?
            }
            E::Score { .. }
            | E::Stranger { .. }
            | E::WrongRows { .. }
            | E::LeftOut { .. }
            | E::TooMany
            | E::Unpaid { .. } => self.credit(evidence, ledger)?,
            E::Factor { model } => {
                encoded(&Factor::proveFactorCall { batch, ledger, model: model.0.into() })
            }
            E::Receipt { .. } | E::Omitted => {
                return Err(Error::Dispute("receipts are proven by who holds them".into()));
            }
            _ => self.record(evidence, ledger)?,
        })
    }

    fn record(&self, evidence: &Evidence, ledger: CellOpening) -> Result<Bytes> {
        use Evidence as E;
        let (batch, posted) = (self.facts.id, &self.facts.batch);
        let witnesses = posted.submission.witnesses.clone();
        Ok(match *evidence {
            E::Fee { ordinal } => {
                encoded(&Record::proveFeeCall { batch, ledger, witness: self.witness(ordinal)? })
            }
            E::Payee { model } => {
                encoded(&Record::provePayeeCall { batch, ledger, model: model.0.into() })
            }
            E::Overlap => encoded(&Record::proveOverlapCall { batch, ledger }),
            E::Outside => {
                encoded(&Record::proveOutsideCall { batch, ledger, draws: posted.draws.clone() })
            }
            E::Voucher { ordinal } => encoded(&Record::proveVoucherCall {
                batch,
                ledger,
                witness: self.witness(ordinal)?,
            }),
            E::Witness { ordinal } => {
                let slot = self.facts.dossier.open_slot(self.kzg, ordinal.into())?;
                encoded(&Record::proveWitnessCall { batch, ledger, witnesses, slot })
            }
            E::WitnessMissing { .. } => {
                encoded(&Record::proveWitnessMissingCall { batch, ledger, witnesses })
            }
            E::NotEarning { model } => {
                encoded(&Record::proveNotEarningCall { batch, ledger, model: model.0.into() })
            }
            ref other => return Err(Error::Dispute(format!("{other:?} is of no record"))),
        })
    }

    fn carry(&self, evidence: &Evidence, ledger: CellOpening) -> Result<Bytes> {
        use Evidence as E;
        let batch = self.facts.id;
        Ok(match evidence {
            E::Carry { previous } => {
                let previous = self.previous(previous)?;
                encoded(&Carry::proveCarryCall { batch, ledger, previous })
            }
            E::CarryUnfounded { previous } => {
                let previous = self.previous(previous)?;
                encoded(&Carry::proveCarryUnfoundedCall { batch, ledger, previous })
            }
            E::CarryLeftOut { previous } => {
                let previous = self.previous(previous)?;
                encoded(&Carry::proveCarryLeftOutCall { batch, ledger, previous })
            }
            other => return Err(Error::Dispute(format!("{other:?} is of no carry"))),
        })
    }

    fn credit(&self, evidence: &Evidence, ledger: CellOpening) -> Result<Bytes> {
        use Evidence as E;
        let batch = self.facts.id;
        Ok(match *evidence {
            E::Score { ordinal, model, contributor } => {
                let index = self.index(model)?;
                encoded(&Credit::proveScoreCall {
                    batch,
                    ledger,
                    witness: self.witness(ordinal)?,
                    contributor: index.proof(contributor)?,
                    sums: index.sums_bytes(contributor).into(),
                })
            }
            E::LeftOut { ordinal, model, contributor } => {
                let index = self.index(model)?;
                encoded(&Credit::proveLeftOutCall {
                    batch,
                    ledger,
                    witness: self.witness(ordinal)?,
                    contributor: index.proof(contributor)?,
                    sums: index.sums_bytes(contributor).into(),
                })
            }
            E::Stranger { model, lower, upper } => encoded(&Credit::proveStrangerCall {
                batch,
                ledger,
                model: model.0.into(),
                lower: self.neighbour(model, lower)?,
                upper: self.neighbour(model, upper)?,
            }),
            E::WrongRows { model, contributor } => {
                let contributor = self.index(model)?.proof(contributor)?;
                let model = model.0.into();
                encoded(&Credit::proveWrongRowsCall { batch, ledger, model, contributor })
            }
            E::TooMany => encoded(&Credit::proveTooManyCall { batch, ledger }),
            E::Unpaid { model, contributor } => {
                let contributor = self.index(model)?.proof(contributor)?;
                let model = model.0.into();
                encoded(&Credit::proveUnpaidCall { batch, ledger, model, contributor })
            }
            ref other => return Err(Error::Dispute(format!("{other:?} is of no credit"))),
        })
    }

    fn witness(&self, ordinal: u16) -> Result<Bytes> {
        let missing = || Error::Dispute(format!("record {ordinal} has no witness"));
        Ok(self.facts.witness(ordinal.into()).ok_or_else(missing)?.into())
    }

    fn index(&self, model: ModelId) -> Result<&Index> {
        let missing = || Error::Dispute(format!("model {model} has no index"));
        self.facts.indexes.get(&model).map(|index| &**index).ok_or_else(missing)
    }

    /// The contributor on one side of a gap, if there is one.
    fn neighbour(&self, model: ModelId, side: Option<usize>) -> Result<Vec<ContributorProof>> {
        side.map(|ordinal| self.index(model)?.proof(ordinal)).into_iter().collect()
    }

    /// Rows of the batch before; an empty opening, which is not read, where there are none.
    fn previous(&self, rows: &[usize]) -> Result<CellOpening> {
        match &self.facts.previous {
            Some(previous) if !rows.is_empty() => previous.open_rows(self.kzg, rows),
            _ => Ok(CellOpening {
                indices: vec![],
                values: vec![],
                quotient: G1Point { x: U256::ZERO, y: U256::ZERO },
                remainder: G1Point { x: U256::ZERO, y: U256::ZERO },
            }),
        }
    }
}

fn encoded(call: &impl SolCall) -> Bytes {
    call.abi_encode().into()
}
