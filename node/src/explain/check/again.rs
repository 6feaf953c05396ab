//! Runs the model on the request again.

use alloy::primitives::{B256, keccak256};
use attribution::settle::{Section, UseKind, Witness};

use super::{Checker, Claimed, differing, uses};
use crate::{
    Result,
    explain::{build::kind_name, finding::Report},
    votes::{Outcome, Rerun, is_false, spans_differ},
};

const WHAT: [&str; 3] = ["answer again", "tokens again", "sketch again"];

impl Checker {
    /// What running the call again gives, if request and model are here.
    pub(super) async fn again(
        &self,
        report: &mut Report,
        claimed: &Claimed<'_>,
        witness: &Witness,
    ) -> Result<()> {
        let mut skip = |why: &str| WHAT.iter().for_each(|what| report.skip(what, why));
        let Some(reruns) = &self.reruns else {
            skip("no model is here");
            return Ok(());
        };
        let Some(request) = claimed.request else {
            skip("the request is not here");
            return Ok(());
        };
        if keccak256(request) != B256::new(witness.prompt_hash) {
            skip("the request is another");
            return Ok(());
        }
        let found = match reruns.run(witness, request, claimed.answer.unwrap_or_default()).await? {
            Rerun::Ran(found) => found,
            Rerun::UnknownModel => {
                skip("the model's folder is not here");
                return Ok(());
            }
            Rerun::UnknownRows(_) => {
                skip("the rows that it was answered from are not here");
                return Ok(());
            }
            Rerun::NoEncoder => {
                skip("the sentence encoder that ranked its rows is not here ([retrieval])");
                return Ok(());
            }
            Rerun::Impossible(why) => {
                for what in WHAT {
                    report.note(what, false, format!("no node answers such a request: {why}"));
                }
                return Ok(());
            }
        };
        let record = &claimed.explanation.record;
        let output = keccak256(&found.text);
        let agrees = output == B256::new(witness.output_hash);
        let detail = if agrees { "the same text".into() } else { another(claimed, &found) };
        report.note(WHAT[0], agrees, detail);
        let tokens = |counts: (u64, u64)| format!("{} + {}", counts.0, counts.1);
        let said = (record.tokens_in, record.tokens_out);
        report.compare(WHAT[1], &tokens(said), &tokens((found.tokens_in, found.tokens_out)));
        sketch(report, &witness.sketch, &found);
        self.spans(report, claimed, witness, &found)?;
        self.citations(report, claimed, witness, &found)
    }
}

impl Checker {
    /// Spans that are paid for against those that the answer's tokens have in the model's span index.
    fn spans(
        &self,
        report: &mut Report,
        claimed: &Claimed<'_>,
        witness: &Witness,
        found: &Outcome,
    ) -> Result<()> {
        let mix = self.registry.mix_at(witness.model.0.into(), witness.time)?;
        let Some(reruns) = self.reruns.as_ref().filter(|_| pays(claimed, UseKind::Span)) else {
            return Ok(());
        };
        // A claim that is none was told of with the credits.
        let Ok(uses) = uses::claimed(claimed.explanation, mix) else { return Ok(()) };
        let (said, catalog) = (&uses.spans, reruns.catalog());
        let differs = spans_differ(&self.registry, catalog, witness, said, &found.spans)?;
        let (paid, all) = (said.len(), found.spans.len());
        report.note("spans again", !differs, format!("{paid} paid for of {all} that rows hold"));
        Ok(())
    }
}

impl Checker {
    /// Citations that are paid for against those that the answer's text makes of its sources.
    fn citations(
        &self,
        report: &mut Report,
        claimed: &Claimed<'_>,
        witness: &Witness,
        found: &Outcome,
    ) -> Result<()> {
        if !pays(claimed, UseKind::Citation) {
            return Ok(());
        }
        let mix = self.registry.mix_at(witness.model.0.into(), witness.time)?;
        let Ok(uses) = uses::claimed(claimed.explanation, mix) else { return Ok(()) };
        let Some(rules) = self.registry.rules_at(witness.time)? else { return Ok(()) };
        let found = found.citations.as_deref().unwrap_or_default();
        let section = Section::new(UseKind::Citation, 0, found, rules.maxCredits)?;
        let expected: Vec<_> = section.credits.iter().map(|credit| credit.of).collect();
        differing(report, "citations again", &uses.citations, &expected);
        Ok(())
    }
}

/// Whether the record has a section of a kind: one that is left out shows in its amounts.
fn pays(claimed: &Claimed<'_>, kind: UseKind) -> bool {
    claimed.explanation.sections.iter().any(|section| section.kind == kind_name(kind))
}

/// Where another answer begins to be another.
fn another(claimed: &Claimed<'_>, found: &Outcome) -> String {
    let Some(answer) = claimed.answer else { return "another text".into() };
    let same = answer.iter().zip(&found.text).take_while(|(a, b)| a == b).count();
    let rest = String::from_utf8_lossy(&found.text[same..]);
    let rest: String = rest.chars().take(40).collect();
    format!("another text from byte {same} on: {rest:?}")
}

/// Coordinates of the sketch that differ, against what numeric profiles may differ by.
fn sketch(report: &mut Report, claimed: &[i8], found: &Outcome) {
    let like = |sketch: &[i8]| Outcome { sketch: sketch.to_vec(), ..found.clone() };
    let is_same = !is_false(&like(claimed), found);
    if claimed.len() != found.sketch.len() {
        return report.compare(WHAT[2], &claimed.len(), &found.sketch.len());
    }
    let distances = claimed.iter().zip(&found.sketch).map(|(a, b)| a.abs_diff(*b));
    let differ = distances.clone().filter(|&distance| distance > 0).count();
    let (all, largest) = (claimed.len(), distances.max().unwrap_or(0));
    let detail = match differ {
        0 => format!("all {all} coordinates"),
        _ => format!("{differ} of {all} coordinates differ, by up to {largest}; 1% may, by 1"),
    };
    report.note(WHAT[2], is_same, detail);
}
