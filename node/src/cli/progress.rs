//! Progress bars.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar with a changing message behind its position.
pub(crate) fn bar(total: u64, what: &str) -> ProgressBar {
    let style = "{prefix:>12} {bar:32} {pos}/{len} {elapsed} < {eta}  {msg}";
    let style = ProgressStyle::with_template(style).expect("the template is fixed");
    ProgressBar::new(total).with_style(style).with_prefix(what.to_owned())
}
