//! An explanation for people.

use std::fmt::Write;

use alloy::primitives::{Address, B256, utils::format_units};
use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use node::{
    api::sources::RetrievalJson,
    explain::{Explanation, Report, SectionPart, TextPart, Verdict},
    retrieval::Ablation,
};

use super::{fetch::RowText, paint::Paint};

/// Most characters of a row's text that are shown.
const EXCERPT: usize = 56;

/// What is shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) explanation: Explanation,
    /// Of each row of the explanation.
    pub(super) texts: Vec<RowText>,
    pub(super) report: Option<Report>,
    /// What its sources add, if that was asked for.
    pub(super) audit: Option<Ablation>,
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
    page.audit();
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
        let Some(told) = &self.shown.explanation.text else {
            let why = "the answer's text is the payer's and the operator's";
            let why = self.paint.faint(why);
            return self.line(format!("\n{why}"));
        };
        self.title("answer");
        let text = self.marked(told);
        for line in text.lines() {
            self.line(format!("  {line}"));
        }
        if let Some(retrieval) = &told.retrieval {
            self.sources(retrieval);
        }
    }

    /// The answer with its spans marked, each by its number.
    fn marked(&self, told: &TextPart) -> String {
        let (spans, mut text, mut at) = (self.spans(), String::new(), 0);
        for span in told.spans.iter().filter(|span| !span.text.is_empty()) {
            let place = (span.start, span.length);
            // Only those that are paid for have a number.
            let number = spans.iter().position(|of| *of == place);
            let found = told.answer[at..].find(&span.text);
            if let (Some(number), Some(before)) = (number, found) {
                text.push_str(&clean(&told.answer[at..at + before]));
                text.push_str(&self.paint.span(&clean(&span.text), number));
                at += before + span.text.len();
            }
        }
        text.push_str(&clean(&told.answer[at..]));
        text
    }

    /// What the answer was given, by the numbers that it cites.
    fn sources(&mut self, retrieval: &RetrievalJson) {
        if !retrieval.has_sources {
            return self.line("nothing fitted the question: the answer rests on no sources");
        }
        self.title(&format!("sources ({} cited)", retrieval.citations.len()));
        let head = ["source", "row", "from", "relevance", "uses", "credit (gwei)"];
        let mut table = table(head, 3);
        for source in &retrieval.sources {
            let cited = retrieval.citations.iter().find(|one| one.source.mark == source.mark);
            table.add_row([
                Cell::new(format!("[{}]", source.mark)),
                Cell::new(format!(
                    "{} v{} #{}",
                    shorter(source.datanet),
                    source.version,
                    source.row
                )),
                Cell::new(clean(&source.source)),
                number(source.relevance),
                number(cited.map_or(0, |one| one.uses)),
                number(cited.map_or(0, |one| one.credit.0)),
            ]);
        }
        self.line(table.to_string());
        let unsupported = retrieval.unsupported.len();
        if unsupported > 0 {
            self.line(format!("{unsupported} sentences rest on no source that they cite"));
        }
    }

    /// Start and length of each span, in the order of the record.
    fn spans(&self) -> Vec<(u16, u16)> {
        let uses = self.shown.explanation.sections.iter().flat_map(|section| &section.uses);
        let mut spans = Vec::new();
        for span in uses.filter_map(|part| part.span) {
            let place = (span.start, span.length);
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
                    let place = (span.start, span.length);
                    let number = spans.iter().position(|of| *of == place).unwrap_or(0) + 1;
                    let (count, holders) = (span.count, span.holders);
                    let (holder, text) = (span.holder + 1, self.span_text(place));
                    format!(
                        "{number}: {text}tokens {} to {}, {count} times, holder {holder} of \
                         {holders}",
                        place.0,
                        u32::from(place.0) + u32::from(place.1).saturating_sub(1)
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

    /// What leaving sources out showed.
    fn audit(&mut self) {
        let Some(audit) = &self.shown.audit else { return };
        self.title("what each source adds, by leaving them out");
        let mut table = table(["source", "adds (nats)", "paid by"], 1);
        for ((mark, adds), weight) in (1..).zip(&audit.surrogate.scores).zip(&audit.weights) {
            let adds = format!("{adds:.3}");
            table.add_row([Cell::new(format!("[{mark}]")), number(adds), number(*weight)]);
        }
        self.line(table.to_string());
        let share = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.2}"));
        let (fit, order) = (share(audit.surrogate.lds), share(audit.agreement.spearman));
        let top = share(audit.agreement.cited_in_top);
        self.line(format!(
            "rank correlation with pay {order}; {top} of the cited weight on sources that add the \
             most; fit on held-out sets {fit}; {} passes",
            audit.surrogate.passes
        ));
    }

    fn span_text(&self, place: (u16, u16)) -> String {
        let told = self.shown.explanation.text.iter().flat_map(|told| &told.spans);
        let mut told = told.filter(|span| (span.start, span.length) == place);
        told.next().map_or_else(String::new, |span| format!("{:?}, ", excerpt(&span.text)))
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

fn shorter(hash: B256) -> String {
    let text = hash.to_string();
    format!("{}…{}", &text[..6], &text[62..])
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

    use node::explain::Finding;
    use serde_json::json;

    use super::*;

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
