//! Colours of a terminal.

/// Puts colours around texts, or leaves them as they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    is_on: bool,
}

impl Paint {
    pub(super) const fn new(is_on: bool) -> Self {
        Self { is_on }
    }

    pub(super) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    pub(super) fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(super) fn title(self, text: &str) -> String {
        self.with("1", text)
    }

    /// A span of an answer: its own colour, and without colours brackets.
    pub(super) fn span(self, text: &str, number: usize) -> String {
        if self.is_on {
            let colours = ["30;43", "30;46", "30;45", "30;42"];
            self.with(colours[number % colours.len()], text)
        } else {
            format!("[{text}]{}", number + 1)
        }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.is_on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
