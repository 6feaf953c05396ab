//! What the reader sees while the job runs.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Numbered chapters with their time.
#[derive(Debug)]
pub(crate) struct Story {
    started: Instant,
    chapter: u32,
}

impl Story {
    pub(crate) fn begin() -> Self {
        Self { started: Instant::now(), chapter: 0 }
    }

    /// Opens the next chapter.
    pub(crate) fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        let at = self.started.elapsed().as_secs();
        println!("\n\x1b[1m{}. {title}\x1b[0m  \x1b[2m[{at} s]\x1b[0m", self.chapter);
    }

    /// One fact.
    pub(crate) fn say(&self, line: impl AsRef<str>) {
        println!("   {}", line.as_ref());
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A bar over `length` steps; drawn on stderr, so that it never mixes with the story.
pub(crate) fn bar(length: u64, label: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("   {prefix} {bar:32} {pos}/{len} {msg}")
        .expect("the template is constant")
        .progress_chars("━╸ ");
    ProgressBar::new(length).with_style(style).with_prefix(label.to_owned())
}

/// `gwei` as OPEN with nine decimals, exact.
pub(crate) fn open(gwei: u64) -> String {
    format!("{}.{:09}", gwei / 1_000_000_000, gwei % 1_000_000_000)
}
