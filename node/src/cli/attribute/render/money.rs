//! Where the fee goes, and what the batch paid.

use alloy::primitives::utils::format_units;
use comfy_table::Cell;

use super::{
    page::Page,
    table::{number, short, table},
};

impl Page<'_> {
    pub(super) fn money(&mut self) {
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

    pub(super) fn batch(&mut self) {
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
}
