//! Who contributed, who earned, and whether the money adds up.

use std::collections::BTreeMap;

use alloy::primitives::{Address, U256};
use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use node::{
    api::earnings::EarningsJson,
    client::Reply,
    datanet::{Datanet, Row},
};

use crate::{accounts::Cast, story::open};

/// What one contributor put in and got out.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) rows: usize,
    pub(crate) accepted: usize,
    /// Sum of its signed credits (gwei), before netting.
    pub(crate) credits: i64,
    pub(crate) earned: u64,
}

impl Line {
    /// Gwei per row contributed, down.
    pub(crate) fn per_row(&self) -> u64 {
        self.earned / self.rows.max(1) as u64
    }
}

/// One line per contributor, in the cast's order.
pub(crate) fn contributors(
    cast: &Cast,
    datanets: &[&Datanet],
    replies: &[Reply],
    earnings: &[EarningsJson],
) -> Vec<Line> {
    let earner_of: BTreeMap<Address, &EarningsJson> =
        earnings.iter().filter(|e| e.role == "contributor").map(|e| (e.account, e)).collect();
    let mut credits: BTreeMap<u32, i64> = BTreeMap::new();
    for credit in replies.iter().flat_map(|reply| &reply.statement.contributors) {
        *credits.entry(credit.earner).or_default() += credit.credit.0;
    }
    let line = |account: &crate::accounts::Account| {
        let is_own = |row: &&Row| row.contributor == account.address();
        let earner = earner_of.get(&account.address());
        Line {
            name: account.name,
            rows: datanets.iter().flat_map(|d| &d.rows).filter(is_own).count(),
            accepted: datanets.iter().flat_map(|d| d.canonical()).filter(is_own).count(),
            credits: earner.and_then(|e| credits.get(&e.earner)).copied().unwrap_or_default(),
            earned: earner.map_or(0, |e| e.cumulative.0),
        }
    };
    cast.contributors().map(line).collect()
}

/// Draws the contributors' table.
pub(crate) fn draw_contributors(lines: &[Line]) -> Table {
    let absolute: u64 = lines.iter().map(|line| line.credits.unsigned_abs()).sum();
    let mut table =
        table(&["contributor", "rows", "accepted", "credit share", "OPEN earned", "per row"]);
    for line in lines {
        let share = line.credits as f64 * 100.0 / absolute.max(1) as f64;
        table.add_row([
            line.name.to_owned(),
            line.rows.to_string(),
            line.accepted.to_string(),
            format!("{share:+.1}%"),
            open(line.earned),
            open(line.per_row()),
        ]);
    }
    right(table)
}

/// Draws earnings by role.
pub(crate) fn draw_roles(earnings: &[EarningsJson], fees: u64) -> Table {
    let mut roles: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for earner in earnings {
        let role = roles.entry(&earner.role).or_default();
        role.0 += 1;
        role.1 += earner.cumulative.0;
    }
    let mut table = table(&["role", "earners", "OPEN", "of fees"]);
    for (role, (count, gwei)) in roles {
        let share = gwei as f64 * 100.0 / fees.max(1) as f64;
        table.add_row([role.to_owned(), count.to_string(), open(gwei), format!("{share:.2}%")]);
    }
    right(table)
}

/// Money in against money out, in wei.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Books {
    pub(crate) drawn: U256,
    pub(crate) paid: U256,
    pub(crate) treasury: U256,
    pub(crate) unclaimed: U256,
}

impl Books {
    pub(crate) fn conserved(&self) -> bool {
        self.drawn == self.paid + self.treasury + self.unclaimed
    }

    pub(crate) fn draw(&self) -> Table {
        let mut table = table(&["money", "wei"]);
        table.add_row(["in: drawn from channels".to_owned(), self.drawn.to_string()]);
        table.add_row(["out: paid to earners".to_owned(), self.paid.to_string()]);
        table.add_row(["out: treasury".to_owned(), self.treasury.to_string()]);
        table.add_row(["held for unclaimed earnings".to_owned(), self.unclaimed.to_string()]);
        right(table)
    }
}

/// Draws gas by action.
pub(crate) fn draw_gas(gas: &BTreeMap<&'static str, u64>) -> Table {
    let mut table = table(&["action", "gas"]);
    for (action, used) in gas {
        table.add_row([(*action).to_owned(), used.to_string()]);
    }
    right(table)
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(header);
    table
}

/// Numbers stand right of names.
fn right(mut table: Table) -> Table {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
