//! Whom the answer is owed to: by influence, by spans, by citations, and by leaving sources out.

use comfy_table::Cell;
use node::explain::SectionPart;

use super::{
    page::Page,
    table::{clean, excerpt, number, right, short, table},
};

impl Page<'_> {
    pub(super) fn contributors(&mut self) {
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

    pub(super) fn rows(&mut self) {
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

    pub(super) fn section(&mut self, section: &SectionPart) {
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
    pub(super) fn audit(&mut self) {
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

    pub(super) fn span_text(&self, place: (u16, u16)) -> String {
        let told = self.shown.explanation.text.iter().flat_map(|told| &told.spans);
        let mut told = told.filter(|span| (span.start, span.length) == place);
        told.next().map_or_else(String::new, |span| format!("{:?}, ", excerpt(&span.text)))
    }
}
