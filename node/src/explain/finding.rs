//! What a check found.

use serde::{Deserialize, Serialize};

/// How a claim stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// What was computed is what was claimed.
    Agrees,
    /// It is not.
    Differs,
    /// It could not be computed here.
    Unchecked,
}

/// One claim and what was computed for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What the claim is about.
    pub what: String,
    /// How it stands.
    pub verdict: Verdict,
    /// What was claimed and what was found, or why it could not be.
    pub detail: String,
}

/// All claims that were looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// In the order in which they were looked at.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing differs. What could not be checked does not count.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.findings.iter().all(|finding| finding.verdict != Verdict::Differs)
    }

    /// The finding about something.
    #[must_use]
    pub fn of(&self, what: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.what == what)
    }

    /// How many findings there are of a kind.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }

    /// Notes that something holds or not, in these words.
    pub(super) fn note(&mut self, what: &str, holds: bool, detail: impl Into<String>) {
        let verdict = if holds { Verdict::Agrees } else { Verdict::Differs };
        self.push(what, verdict, detail);
    }

    /// Compares two values.
    pub(super) fn compare<T: PartialEq + std::fmt::Display>(
        &mut self,
        what: &str,
        claimed: &T,
        found: &T,
    ) {
        if claimed == found {
            self.note(what, true, claimed.to_string());
        } else {
            self.note(what, false, format!("claimed {claimed}, found {found}"));
        }
    }

    /// Notes that something cannot be checked here, and why.
    pub(super) fn skip(&mut self, what: &str, why: impl Into<String>) {
        self.push(what, Verdict::Unchecked, why);
    }

    fn push(&mut self, what: &str, verdict: Verdict, detail: impl Into<String>) {
        self.findings.push(Finding { what: what.to_owned(), verdict, detail: detail.into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_checked_is_no_disagreement() {
        let mut report = Report::default();
        report.compare("fee", &7, &7);
        report.skip("batch", "it is not sealed");
        assert!(report.agrees());
        report.compare("tokens", &7, &8);
        assert!(!report.agrees());
        assert_eq!(report.of("tokens").unwrap().detail, "claimed 7, found 8");
        assert_eq!(report.count(Verdict::Unchecked), 1);
    }
}
