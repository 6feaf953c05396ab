//! A page that is being written.

use crate::cli::attribute::{paint::Paint, shown::Shown};

pub(super) struct Page<'a> {
    pub(super) text: String,
    pub(super) shown: &'a Shown,
    pub(super) paint: Paint,
}

impl Page<'_> {
    pub(super) fn line(&mut self, text: impl AsRef<str>) {
        self.text.push_str(text.as_ref());
        self.text.push('\n');
    }

    pub(super) fn title(&mut self, text: &str) {
        let title = self.paint.title(text);
        self.line(format!("\n{title}"));
    }

    /// Start and length of each span, in the order of the record.
    pub(super) fn spans(&self) -> Vec<(u16, u16)> {
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
}
