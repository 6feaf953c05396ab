//! An explanation for people.

mod answer;
mod credits;
mod money;
mod page;
mod table;
mod verdict;

use self::page::Page;
use super::{paint::Paint, shown::Shown};

/// The whole explanation.
pub(super) fn render(shown: &Shown, paint: Paint) -> String {
    let mut page = Page { text: String::new(), shown, paint };
    page.head();
    page.answer();
    page.contributors();
    page.rows();
    for section in &shown.explanation.sections {
        page.section(section);
    }
    page.audit();
    page.money();
    page.batch();
    page.report();
    page.text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use alloy::primitives::B256;
    use node::explain::{Explanation, Finding, Report};
    use serde_json::json;

    use super::*;
    use crate::cli::attribute::fetch::RowText;

    fn shown() -> Shown {
        let explanation: Explanation = serde_json::from_str(include_str!("fixture.json")).unwrap();
        let text = |hash: B256, text: &str, source: &str| RowText {
            hash,
            text: Some(text.into()),
            source: source.into(),
            contributor: None,
        };
        let texts = vec![
            text(
                B256::ZERO,
                "// Token\nfunction transfer(address to, uint256 amount) external",
                "a.sol",
            ),
            text(B256::ZERO, "the same, copied", "b.sol"),
            RowText::default(),
        ];
        let finding = |what: &str, verdict: &str, detail: &str| -> Finding {
            let finding = json!({ "what": what, "verdict": verdict, "detail": detail });
            serde_json::from_value(finding).unwrap()
        };
        let findings = vec![
            finding("voucher", "agrees", "signed by payer 0x..."),
            finding("sketch again", "differs", "3 of 64 coordinates differ, by up to 2"),
            finding("inclusion", "unchecked", "no data availability is configured"),
        ];
        Shown { explanation, texts, report: Some(Report { findings }), audit: None }
    }

    #[test]
    fn a_fixed_record_is_shown_as_it_always_was() {
        let text = render(&shown(), Paint::new(false));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/attribute/golden.txt");
        if std::env::var_os("OPENLEDGER_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap();
        assert!(text == golden, "{text}");
    }

    #[test]
    fn colours_change_nothing_but_colours_and_answers_cannot_steer_a_terminal() {
        let mut shown = shown();
        let coloured = render(&shown, Paint::new(true));
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once("\x1b[") {
            plain.push_str(before);
            let (code, after) = after.split_once('m').unwrap();
            assert!(code.chars().all(|c| c.is_ascii_digit() || c == ';'), "{code:?}");
            rest = after;
        }
        plain.push_str(rest);
        // Without colours a span is in brackets with its number.
        let expected = render(&shown, Paint::new(false))
            .replace("[ transfer(address to)]1", " transfer(address to)");
        assert_eq!(plain, expected);
        shown.explanation.sections.clear();
        assert!(!render(&shown, Paint::new(false)).contains('\x1b'));
    }
}
