//! Computes an explanation again and compares.

mod again;
mod batch;
mod record;
mod uses;

use alloy::primitives::B256;
use attribution::{
    estimate::InfluenceIndex,
    settle::{EarnerIndex, Record, Witness},
};

use super::{
    Explanation,
    build::{row_credit, row_parts},
    finding::Report,
};
use crate::{Result, committer::Kzg, da::SharedAvailability, registry::Registry, votes::Reruns};

/// Checks explanations by what the chain, data availability and the models' folders say. What it has
/// no source for stays unchecked. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Checker {
    registry: Registry,
    reruns: Option<Reruns>,
    availability: Option<(SharedAvailability, Kzg)>,
}

/// What is checked.
#[derive(Clone, Copy, Debug)]
pub struct Claimed<'a> {
    /// What somebody says.
    pub explanation: &'a Explanation,
    /// Body of the request, exactly as it was sent; without it nothing is run again.
    pub request: Option<&'a [u8]>,
    /// What the answer's hash is of: its text, or the document of text and sources.
    pub answer: Option<&'a [u8]>,
}

impl Checker {
    /// A checker that goes by an indexed chain.
    ///
    /// - `reruns`: runs the models whose folders are here
    /// - `availability`: where ledgers are, and the powers of tau that they are committed to with
    #[must_use]
    pub const fn new(
        registry: Registry,
        reruns: Option<Reruns>,
        availability: Option<(SharedAvailability, Kzg)>,
    ) -> Self {
        Self { registry, reruns, availability }
    }

    /// What runs calls again, if models were loaded.
    #[must_use]
    pub const fn reruns(&self) -> Option<&Reruns> {
        self.reruns.as_ref()
    }

    /// The chain that it goes by.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Looks at every claim. Each finding says what it is about:
    ///
    /// - `voucher`, `receipt`, `record`: signatures and hashes fit each other and the chain;
    /// - `request`, `answer`: they are those of the record;
    /// - `scores`, `rows`: dot products of the record's sketch with the index that is registered;
    /// - `fee`, `shares`, `credits`, `spans`, `citations`, `flat`: the record that price, split and
    ///   mix on the chain give, to the gwei;
    /// - `answer again`, `tokens again`, `sketch again`, `spans again`, `citations again`: what running
    ///   the model again gives;
    /// - `batch`, `inclusion`, `paid`: the ledger that the chain committed to.
    ///
    /// # Errors
    /// [`crate::Error::Store`] if the indexed chain cannot be read; [`crate::Error::Inference`],
    /// [`crate::Error::Attribution`] or [`crate::Error::Availability`] if the engine or the layer
    /// fails, which says nothing about the claim.
    pub async fn check(&self, claimed: Claimed<'_>) -> Result<Report> {
        let (mut report, said) = (Report::default(), claimed.explanation);
        let witness = match Witness::decode(&said.witness) {
            Ok(witness) => witness,
            Err(error) => {
                report.note("record", false, error.to_string());
                return Ok(report);
            }
        };
        let call = record::Signed { registry: &self.registry, said, witness: &witness };
        call.check(&mut report)?;
        record::texts(&claimed, &witness, &mut report);
        let index = self.index(&mut report, &witness)?;
        let scores = scores(&mut report, said, &witness, index)?;
        let settled = call.settled(&mut report, &scores)?;
        if let Some(settled) = &settled {
            money(&mut report, said, settled);
            if let Some(index) = index {
                rows(&mut report, said, &witness, index, settled)?;
            }
        }
        self.again(&mut report, &claimed, &witness).await?;
        self.batch(&mut report, said, &witness, settled.as_ref()).await?;
        Ok(report)
    }

    /// The index of the record's model, if its folder is here and it is the registered one.
    fn index(&self, report: &mut Report, witness: &Witness) -> Result<Option<&InfluenceIndex>> {
        let id = B256::new(witness.model.0);
        let Some(view) = self.registry.model(id)? else {
            report.note("model", false, format!("{id} is not registered"));
            return Ok(None);
        };
        let Some(reruns) = &self.reruns else { return Ok(None) };
        let served = reruns.catalog().models().iter().find(|model| model.id == id);
        let Some(adapter) = served.and_then(|model| model.adapter.as_ref()) else {
            if let Some(reason) = reruns.catalog().refused().values().next() {
                report.skip("model", format!("its folder is not here; refused: {reason}"));
            }
            return Ok(None);
        };
        // The folder's files were compared with the registration when they were loaded.
        report.compare("model", &view.index_root, &B256::from(adapter.index.root()));
        Ok(Some(&adapter.index))
    }
}

/// Every contributor's score by the index; those that are claimed if it is not here.
fn scores(
    report: &mut Report,
    said: &Explanation,
    witness: &Witness,
    index: Option<&InfluenceIndex>,
) -> Result<Vec<(EarnerIndex, i64)>> {
    let claimed = || said.contributors.iter().map(|one| (EarnerIndex(one.earner), one.score.0));
    if witness.sketch.is_empty() {
        report.note("scores", claimed().count() == 0, "the model has no influence index");
        return Ok(Vec::new());
    }
    let Some(index) = index else {
        report.skip("scores", "the model's folder is not here");
        return Ok(claimed().collect());
    };
    let found = match index.score_contributors(&witness.sketch) {
        Ok(found) => found,
        Err(error) => {
            report.note("scores", false, error.to_string());
            return Ok(claimed().collect());
        }
    };
    let earners = index.contributors().iter().map(|contributor| contributor.earner);
    let found: Vec<(EarnerIndex, i64)> = earners.zip(found).collect();
    let wrong = claimed().find(|one| !found.contains(one));
    match wrong {
        None => {
            let (credited, all) = (said.contributors.len(), found.len());
            let detail = format!("{credited} credited of {all}, each recomputed");
            report.note("scores", true, detail);
        }
        Some((earner, score)) => {
            let right = found.iter().find(|(of, _)| *of == earner);
            let right = right.map_or_else(|| "nobody of the index".into(), |(_, s)| s.to_string());
            let detail = format!("earner {earner}: claimed {score}, found {right}");
            report.note("scores", false, detail);
        }
    }
    Ok(found)
}

/// Fee, shares, credits and sections against the record that the chain's terms give.
fn money(report: &mut Report, said: &Explanation, settled: &Record) {
    report.compare("fee", &said.money.fee.0, &settled.fee());
    let shares: Vec<_> = settled
        .shares()
        .iter()
        .map(|share| (super::build::share_name(share.kind), share.earner.0, share.amount))
        .collect();
    let claimed: Vec<_> = said
        .money
        .shares
        .iter()
        .map(|share| (share.kind.as_str(), share.earner, share.amount.0))
        .collect();
    differing(report, "shares", &claimed, &shares);
    let credits: Vec<_> =
        settled.credits().iter().map(|credit| (credit.earner.0, credit.credit)).collect();
    let claimed: Vec<_> = said.contributors.iter().map(|one| (one.earner, one.credit.0)).collect();
    let pool = said.money.pool.0 == settled.pool();
    if pool {
        differing(report, "credits", &claimed, &credits);
    } else {
        let detail = format!("pool: claimed {}, found {}", said.money.pool.0, settled.pool());
        report.note("credits", false, detail);
    }
    uses::compare(report, said, settled);
    report.compare("flat", &said.money.flat.0, &uncredited(settled));
}

/// What of a record's pools no credit takes, gwei.
fn uncredited(record: &Record) -> u64 {
    let pools = record.pool() + record.sections().iter().map(|section| section.pool).sum::<u64>();
    let credits = record.credits().iter().map(|credit| credit.credit.max(0).unsigned_abs());
    let uses = record.sections().iter().flat_map(|section| &section.credits);
    pools - credits.sum::<u64>() - uses.map(|credit| credit.credit).sum::<u64>()
}

/// Compares two lists and names the first place where they differ.
fn differing<T: PartialEq + std::fmt::Debug>(
    report: &mut Report,
    what: &str,
    claimed: &[T],
    found: &[T],
) {
    if claimed == found {
        return report.note(what, true, format!("{} recomputed", found.len()));
    }
    let place = claimed.iter().zip(found).position(|(a, b)| a != b);
    let place = place.unwrap_or(claimed.len().min(found.len()));
    let at = |list: &[T]| list.get(place).map_or_else(|| "nothing".into(), |x| format!("{x:?}"));
    let detail = format!("place {place}: claimed {}, found {}", at(claimed), at(found));
    report.note(what, false, detail);
}

/// The rows named, against all rows of the index.
fn rows(
    report: &mut Report,
    said: &Explanation,
    witness: &Witness,
    index: &InfluenceIndex,
    settled: &Record,
) -> Result<()> {
    if witness.sketch.len() != index.dim() {
        return Ok(());
    }
    let magnitude = settled.credits().iter().map(|c| i128::from(c.score.unsigned_abs())).sum();
    let mut found = row_parts(index, &witness.sketch)?;
    found.truncate(said.rows.len());
    for part in &mut found {
        let is_credited = settled.credits().iter().any(|credit| credit.earner.0 == part.earner);
        if part.is_canonical && is_credited {
            part.credit.0 = row_credit(settled.pool(), part.score.0, magnitude);
        }
    }
    differing(report, "rows", &said.rows, &found);
    Ok(())
}

#[cfg(test)]
mod tests {
    use attribution::settle::{Call, Mix, ModelOwner, Payees, Price, Split, Terms};

    use super::*;
    use crate::explain::Verdict;

    /// An explanation with influence, a span and a citation, whose numbers were worked out by hand.
    fn said() -> Explanation {
        serde_json::from_str(include_str!("../../cli/attribute/fixture.json")).unwrap()
    }

    /// The record that its scores and uses give, under the mix that its pools were worked out with.
    fn settled(said: &Explanation) -> std::result::Result<Record, String> {
        let price = &said.money.price;
        let price = Price {
            input_rate: price.input_rate.0,
            output_rate: price.output_rate.0,
            platform_fee: price.platform_fee.0,
        };
        let terms = Terms { price, split: Split::default(), max_credits: 32 };
        let owners = vec![ModelOwner { earner: EarnerIndex(3), weight: 1 }];
        let payees = Payees { owners, stakers: EarnerIndex(2) };
        let (tokens_in, tokens_out) = (9, 8);
        let call = Call { tokens_in, tokens_out, ..Call::default() };
        let scores: Vec<_> =
            said.contributors.iter().map(|one| (EarnerIndex(one.earner), one.score.0)).collect();
        let uses = uses::claimed(said, Mix::new(3_000, 2_000).unwrap())?;
        Record::mixed(call, terms, payees, &scores, uses).map_err(|error| error.to_string())
    }

    fn looked_at(said: &Explanation, settled: &Record) -> Report {
        let mut report = Report::default();
        money(&mut report, said, settled);
        report
    }

    #[test]
    fn money_worked_out_by_hand_agrees_and_any_other_amount_differs() {
        let said = said();
        let record = settled(&said).unwrap();
        let report = looked_at(&said, &record);
        for what in ["fee", "shares", "credits", "spans", "citations", "flat"] {
            assert_eq!(report.of(what).unwrap().verdict, Verdict::Agrees, "{what}: {report:#?}");
        }
        type Change = fn(&mut Explanation);
        let changes: [(&str, Change); 8] = [
            ("spans", |said| said.sections[0].uses[0].credit.0 += 1),
            ("spans", |said| said.sections[0].pool.0 -= 1),
            ("spans", |said| said.sections[0].uses[0].span.as_mut().unwrap().count = 3),
            ("spans", |said| drop(said.sections.remove(0))),
            ("citations", |said| said.sections[1].uses[0].earner = 5),
            ("citations", |said| said.sections[1].uses.clear()),
            ("shares", |said| said.money.shares.swap(0, 1)),
            ("flat", |said| said.money.flat.0 = 0),
        ];
        for (what, change) in changes {
            let mut changed = said.clone();
            change(&mut changed);
            let report = looked_at(&changed, &record);
            assert_eq!(report.of(what).unwrap().verdict, Verdict::Differs, "{what}: {report:#?}");
        }
    }

    #[test]
    fn uses_that_are_none_are_told_of() {
        let changes: [fn(&mut Explanation); 4] = [
            |said| said.sections[0].kind = "citation".into(),
            |said| said.sections[0].uses[0].span = None,
            |said| said.sections[1].uses[0].score.0 += 1,
            |said| said.sections[0].uses[0].span.as_mut().unwrap().length = 1,
        ];
        for change in changes {
            let mut changed = said();
            change(&mut changed);
            assert!(settled(&changed).is_err());
        }
    }
}
