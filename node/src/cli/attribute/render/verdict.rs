//! What was computed again.

use std::fmt::Write;

use node::explain::Verdict;

use super::page::Page;

impl Page<'_> {
    pub(super) fn report(&mut self) {
        let Some(report) = &self.shown.report else {
            let why = "not computed again: --config names what to compute it from";
            let why = self.paint.faint(why);
            return self.line(format!("\n{why}"));
        };
        self.title("computed again");
        let width = report.findings.iter().map(|one| one.what.len()).max().unwrap_or(0);
        for finding in &report.findings {
            let mark = match finding.verdict {
                Verdict::Agrees => self.paint.good("ok     "),
                Verdict::Differs => self.paint.bad("DIFFERS"),
                Verdict::Unchecked => self.paint.faint("-      "),
            };
            self.line(format!("  {mark} {:<width$}  {}", finding.what, finding.detail));
        }
        let (agrees, differs, unchecked) = (
            report.count(Verdict::Agrees),
            report.count(Verdict::Differs),
            report.count(Verdict::Unchecked),
        );
        let mut verdict = String::new();
        let _ = if differs == 0 {
            write!(verdict, "AGREES: {agrees} checks hold")
        } else {
            write!(verdict, "DISAGREES: {differs} checks fail, {agrees} hold")
        };
        if unchecked > 0 {
            let _ = write!(verdict, ", {unchecked} could not be made");
        }
        let verdict = match differs {
            0 => self.paint.good(&verdict),
            _ => self.paint.bad(&verdict),
        };
        self.line(format!("\n{verdict}"));
    }
}
