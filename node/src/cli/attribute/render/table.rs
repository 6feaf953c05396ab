//! Tables, and texts that fit into them.

use alloy::primitives::{Address, B256};
use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_BORDERS_ONLY};

/// Most characters of a row's text that are shown.
const EXCERPT: usize = 56;

/// A table whose columns from `numbers` on are to the right.
pub(super) fn table<const N: usize>(head: [&str; N], numbers: usize) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(head);
    if numbers > 0 {
        right(&mut table, &(numbers..N).collect::<Vec<_>>());
    }
    table
}

pub(super) fn right(table: &mut Table, columns: &[usize]) {
    for &column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

pub(super) fn number(value: impl std::fmt::Display) -> Cell {
    Cell::new(value)
}

pub(super) fn shorter(hash: B256) -> String {
    let text = hash.to_string();
    format!("{}…{}", &text[..6], &text[62..])
}

pub(super) fn short(account: Address) -> String {
    let text = account.to_string();
    format!("{}…{}", &text[..6], &text[38..])
}

/// A text that cannot steer a terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// The beginning of a text on one line.
pub(super) fn excerpt(text: &str) -> String {
    let text = clean(text);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(EXCERPT) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}
