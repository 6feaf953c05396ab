//! An explanation for people.

use std::fmt::Write;

use alloy::primitives::{Address, utils::format_units};
use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use node::explain::{Explanation, Report, SectionPart, Verdict};

use super::{fetch::RowText, paint::Paint};

/// Most characters of a row's text that are shown.
const EXCERPT: usize = 56;

/// What is shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) explanation: Explanation,
    pub(super) answer: Option<Vec<u8>>,
    /// Of each row of the explanation.
    pub(super) texts: Vec<RowText>,
    /// Texts of the answer's tokens.
    pub(super) pieces: Option<Vec<String>>,
    pub(super) report: Option<Report>,
}

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
    page.money();
    page.batch();
    page.report();
    page.text
}

struct Page<'a> {
    text: String,
    shown: &'a Shown,
    paint: Paint,
}

impl Page<'_> {
    fn line(&mut self, text: impl AsRef<str>) {
        self.text.push_str(text.as_ref());
        self.text.push('\n');
    }

    fn title(&mut self, text: &str) {
        let title = self.paint.title(text);
        self.line(format!("\n{title}"));
    }

    fn head(&mut self) {
        let said = &self.shown.explanation;
        let (record, model) = (&said.record, &said.model);
        let datanets = model.datanets.iter();
        let datanets: Vec<_> = datanets
            .map(|datanet| format!("{} v{}", clean(&datanet.name), datanet.version))
            .collect();
        let methods = match model.methods.is_empty() {
            true => "nobody: a base model".to_owned(),
            false => model.methods.join(", "),
        };
        let lines = [
            ("call", record.voucher_digest.to_string()),
            ("model", format!("{} ({})", clean(&model.name), model.id)),
            ("trained on", datanets.join(", ")),
            ("credits by", methods),
            ("operator", said.operator.to_string()),
            ("signed at", format!("{}, epoch {}", record.time.0, record.epoch.0)),
            ("tokens", format!("{} + {}", record.tokens_in, record.tokens_out)),
        ];
        for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
            self.line(format!("{name:<11}{value}"));
        }
    }

    fn answer(&mut self) {
        let Some(answer) = &self.shown.answer else {
            let why = "the answer's text is the payer's and the operator's";
            let why = self.paint.faint(why);
            return self.line(format!("\n{why}"));
        };
        self.title("answer");
        let text = match &self.shown.pieces {
            Some(pieces) => self.marked(pieces),
            None => clean(&String::from_utf8_lossy(answer)),
        };
        for line in text.lines() {
            self.line(format!("  {line}"));
        }
    }

    /// The answer with its spans marked, each by its number.
    fn marked(&self, pieces: &[String]) -> String {
        let spans = self.spans();
        let mut text = String::new();
        let mut at = 0;
        while at < pieces.len() {
            let found = spans.iter().position(|&(start, length)| start == at && length > 0);
            let Some(number) = found else {
                text.push_str(&clean(&pieces[at]));
                at += 1;
                continue;
            };
            let end = (at + spans[number].1).min(pieces.len());
            text.push_str(&self.paint.span(&clean(&pieces[at..end].concat()), number));
            at = end;
        }
        text
    }

    /// Start and length of each span, in the order of the record.
    fn spans(&self) -> Vec<(usize, usize)> {
        let uses = self.shown.explanation.sections.iter().flat_map(|section| &section.uses);
        let mut spans = Vec::new();
        for span in uses.filter_map(|part| part.span) {
            let place = (usize::from(span.start), usize::from(span.length));
            if !spans.contains(&place) {
                spans.push(place);
            }
        }
        spans
    }

    fn contributors(&mut self) {
        let said = &self.shown.explanation;
        if said.contributors.is_empty() {
            return;
        }
        self.title("by influence");
        let mut table = table(["contributor", "account", "rows", "score", "credit (gwei)"], 2);
        for one in &said.contributors {
            table.add_row([
                Cell::new(one.earner),
                Cell::new(short(one.account)),
                number(one.accepted_rows),
                number(one.score.0),
                number(one.credit.0),
            ]);
        }
        self.line(table.to_string());
    }

    fn rows(&mut self) {
        let said = &self.shown.explanation;
        if said.rows.is_empty() {
            return;
        }
        self.title(&format!("rows ({} of {})", said.rows.len(), said.model.index_rows));
        let head = ["score", "credit (gwei)", "row", "contributor", "source", "text"];
        let mut table = table(head, 0);
        for (row, text) in said.rows.iter().zip(&self.shown.texts) {
            let datanet = said.model.datanets.get(usize::from(row.datanet));
            let name =
                datanet.map_or_else(String::new, |d| format!("{} v{}", clean(&d.name), d.version));
            let copy = if row.is_canonical { "" } else { " (a copy)" };
            table.add_row([
                number(row.score.0),
                number(row.credit.0),
                Cell::new(format!("{name} #{}{copy}", row.index)),
                Cell::new(row.earner),
                Cell::new(clean(&text.source)),
                Cell::new(excerpt(text.text.as_deref().unwrap_or_default())),
            ]);
        }
        right(&mut table, &[0, 1]);
        self.line(table.to_string());
    }

    fn section(&mut self, section: &SectionPart) {
        self.title(&format!("by {}s ({} gwei)", section.kind, section.pool.0));
        let spans = self.spans();
        let head = ["what", "contributor", "account", "score", "credit (gwei)"];
        let mut table = table(head, 3);
        for part in &section.uses {
            let what = match (part.span, part.citation) {
                (Some(span), _) => {
                    let place = (usize::from(span.start), usize::from(span.length));
                    let number = spans.iter().position(|of| *of == place).unwrap_or(0) + 1;
                    let (count, holders) = (span.count, span.holders);
                    let (holder, text) = (span.holder + 1, self.span_text(place));
                    format!(
                        "{number}: {text}tokens {} to {}, {count} times, holder {holder} of \
                         {holders}",
                        place.0,
                        place.0 + place.1.saturating_sub(1)
                    )
                }
                (None, Some(citation)) => format!(
                    "row {} of Datanet {}, cited {} times, relevance {}",
                    citation.row.0, citation.datanet, citation.uses, citation.relevance
                ),
                (None, None) => "nothing".to_owned(),
            };
            table.add_row([
                Cell::new(what),
                Cell::new(part.earner),
                Cell::new(short(part.account)),
                number(part.score.0),
                number(part.credit.0),
            ]);
        }
        self.line(table.to_string());
    }

    fn span_text(&self, (start, length): (usize, usize)) -> String {
        let pieces = self.shown.pieces.as_ref();
        let text = pieces.and_then(|pieces| pieces.get(start..start + length));
        text.map_or_else(String::new, |text| format!("{:?}, ", excerpt(&text.concat())))
    }

    fn money(&mut self) {
        let money = &self.shown.explanation.money;
        let open = format_units(money.fee.0, "gwei").unwrap_or_default();
        self.title(&format!("fee: {} gwei ({open} OPEN)", money.fee.0));
        let mut table = table(["part", "whom", "account", "gwei"], 3);
        for share in &money.shares {
            table.add_row([
                Cell::new(&share.kind),
                Cell::new(share.earner),
                Cell::new(short(share.account)),
                number(share.amount.0),
            ]);
        }
        let said = &self.shown.explanation;
        let mut pools = vec![("influence".to_owned(), money.pool.0)];
        pools.extend(said.sections.iter().map(|s| (format!("{}s", s.kind), s.pool.0)));
        for (name, gwei) in pools {
            table.add_row([
                Cell::new(name),
                Cell::new("contributors"),
                Cell::new(""),
                number(gwei),
            ]);
        }
        self.line(table.to_string());
        self.line(format!(
            "{} gwei of the contributors' part no credit takes: it goes by accepted rows",
            money.flat.0
        ));
    }

    fn batch(&mut self) {
        let Some(batch) = &self.shown.explanation.batch else {
            return self.line("\nno batch has the call yet");
        };
        let (row, rows) = (batch.row, batch.rows);
        self.title(&format!("batch {} ({})", batch.id, batch.status));
        self.line(format!(
            "epoch {}, {} calls, {} gwei; the call is at row {row} of {rows}",
            batch.epoch.0, batch.calls, batch.total.0
        ));
        let head = ["whom", "account", "net", "by net", "by rows", "paid (gwei)"];
        let mut table = table(head, 2);
        for paid in &batch.paid {
            let (net, influence, flat) = match paid.balance {
                Some(of) => {
                    let factor = match of.factor {
                        10_000 => String::new(),
                        bps => format!(" x {}.{:02}%", bps / 100, bps % 100),
                    };
                    let net = format!("{}{factor}", of.net.0);
                    (net, of.influence.0.to_string(), of.flat.0.to_string())
                }
                None => (String::new(), String::new(), String::new()),
            };
            table.add_row([
                Cell::new(paid.earner),
                Cell::new(short(paid.account)),
                number(net),
                number(influence),
                number(flat),
                number(paid.amount.0),
            ]);
        }
        self.line(table.to_string());
    }

    fn report(&mut self) {
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

/// A table whose columns from `numbers` on are to the right.
fn table<const N: usize>(head: [&str; N], numbers: usize) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(head);
    if numbers > 0 {
        right(&mut table, &(numbers..N).collect::<Vec<_>>());
    }
    table
}

fn right(table: &mut Table, columns: &[usize]) {
    for &column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

fn number(value: impl std::fmt::Display) -> Cell {
    Cell::new(value)
}

fn short(account: Address) -> String {
    let text = account.to_string();
    format!("{}…{}", &text[..6], &text[38..])
}

/// A text that cannot steer a terminal.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// The beginning of a text on one line.
fn excerpt(text: &str) -> String {
    let text = clean(text);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(EXCERPT) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use alloy::primitives::B256;
    use node::explain::Finding;
    use serde_json::json;

    use super::*;

    fn shown() -> Shown {
        let explanation: Explanation = serde_json::from_str(include_str!("fixture.json")).unwrap();
        let answer = explanation.text.as_ref().map(|text| text.answer.clone().into_bytes());
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
        let pieces =
            ["function", " transfer", "(address", " to)", "\nhostile ", "\x1b[2J", " text"];
        let finding = |what: &str, verdict: &str, detail: &str| -> Finding {
            let finding = json!({ "what": what, "verdict": verdict, "detail": detail });
            serde_json::from_value(finding).unwrap()
        };
        let findings = vec![
            finding("voucher", "agrees", "signed by payer 0x..."),
            finding("sketch again", "differs", "3 of 64 coordinates differ, by up to 2"),
            finding("inclusion", "unchecked", "no data availability is configured"),
        ];
        let pieces = Some(pieces.map(str::to_owned).to_vec());
        Shown { explanation, answer, texts, pieces, report: Some(Report { findings }) }
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
        shown.pieces = None;
        assert!(!render(&shown, Paint::new(false)).contains('\x1b'));
    }
}
