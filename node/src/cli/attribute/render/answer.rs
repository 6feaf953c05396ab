//! The call, its answer, and what the answer was given.

use comfy_table::Cell;
use node::{api::sources::RetrievalJson, explain::TextPart};

use super::{
    page::Page,
    table::{clean, number, shorter, table},
};

impl Page<'_> {
    pub(super) fn head(&mut self) {
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

    pub(super) fn answer(&mut self) {
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
    pub(super) fn marked(&self, told: &TextPart) -> String {
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
    pub(super) fn sources(&mut self, retrieval: &RetrievalJson) {
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
}
