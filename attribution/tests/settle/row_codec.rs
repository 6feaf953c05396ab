use attribution::settle::{
    Account, Balance, BatchHeader, Cells, ChannelId, Citation, EarnerIndex, Info, ModelId, Row,
    ShareKind, SpanUse, Through, UseKind,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::vectors::{bytes, list, load, number, text};

/// What each vector's information cells say, by the name that the script gives the row.
fn info_of(name: &str) -> Info {
    let run = |from: u8| std::array::from_fn(|i| from + u8::try_from(i).unwrap());
    match name {
        "padding" | "smallest value" => Info::Padding,
        "header" => Info::Header {
            batch: BatchHeader {
                chain_id: 161_201,
                epoch: 29_000_000,
                operator: std::array::from_fn(|i| 1 + u8::try_from(i).unwrap()),
                settlement: std::array::from_fn(|i| 41 + u8::try_from(i).unwrap()),
            },
            records: 3,
            rows: 32,
            total: i64::MAX.unsigned_abs(),
        },
        "carry" => Info::Carry,
        "record" => Info::Record {
            tokens_in: 1_000,
            tokens_out: u32::MAX,
            price_version: 7,
            time: 1_790_000_000,
            from: u64::MAX,
            ordinal: u16::MAX - 1,
            model: run(0x20),
            voucher: run(0),
            record: run(100),
        },
        "treasury share" => {
            Info::Share { kind: ShareKind::Treasury, weight: 0, weights: 0, position: 1 }
        }
        "owner share" => Info::Share { kind: ShareKind::Owner, weight: 2, weights: 5, position: 2 },
        "stakers share" => {
            Info::Share { kind: ShareKind::Stakers, weight: 0, weights: 0, position: 255 }
        }
        "pool share" => Info::PoolShare { credits: 32, magnitude: 1 << 68, position: 4 },
        "credit" => Info::Credit { score: -12_345, place: 31, magnitude_through: (1 << 68) - 1 },
        "credit of the smallest score" => {
            Info::Credit { score: i64::MIN, place: 0, magnitude_through: 1 << 63 }
        }
        "pool closing" => Info::PoolClosing { influence: 300, flat: 193, weight: 40 },
        "payout" => Info::Payout {
            influence: 200,
            flat: 93,
            factor: 5_000,
            rows: 12,
            through: Through { influence: u64::MAX, flat: 193, weight: 40 },
        },
        "fixed payout" | "largest integers" => Info::FixedPayout,
        "span pool" => {
            Info::UsePool { kind: UseKind::Span, credits: 32, magnitude: 1 << 68, position: 37 }
        }
        "span credit" => Info::SpanCredit {
            score: 1 << 40,
            place: 31,
            magnitude_through: (1 << 68) - 1,
            position: 69,
            span: SpanUse {
                start: 300,
                length: 17,
                low: (1 << 33) + 5,
                count: 9,
                holders: 3,
                holder: 1,
                occurrence: 4,
            },
        },
        "citation pool" => {
            Info::UsePool { kind: UseKind::Citation, credits: 0, magnitude: 0, position: u16::MAX }
        }
        "citation credit" => Info::CitationCredit {
            score: 1 << 48,
            place: 0,
            magnitude_through: 1 << 48,
            position: 6,
            citation: Citation {
                datanet: 15,
                row: (1 << 50) + 1,
                relevance: (1 << 31) + 3,
                uses: 7,
            },
        },
        other => panic!("a vector without its meaning here: {other}"),
    }
}

fn account_of(vectors: &Value, account: &Value) -> Account {
    let (model, channel) =
        (ModelId(bytes(&vectors["model"])), ChannelId(bytes(&vectors["channel"])));
    let earner = || EarnerIndex(u32::try_from(account["earner"].as_u64().unwrap()).unwrap());
    match text(&account["kind"]) {
        "none" => Account::None,
        "draw" => Account::draw(channel),
        "fixed" => Account::Fixed(earner()),
        "pool" => Account::Pool(model.into()),
        "balance" => Account::Balance(Balance::new(model, earner())),
        other => panic!("unknown account {other}"),
    }
}

fn cells_of(case: &Value) -> Cells {
    let cells: Vec<_> = list(&case["cells"]).iter().map(bytes).collect();
    cells.try_into().unwrap()
}

#[test]
fn rows_are_written_and_read_as_the_layout_says() {
    let vectors = load("row_codec.json");
    for case in list(&vectors["valid"]) {
        let row = Row {
            earner: EarnerIndex(number(&case["earner"])),
            amount: number(&case["amount"]),
            account: account_of(&vectors, &case["account"]),
            value: number(&case["value"]),
            info: info_of(text(&case["name"])),
        };
        assert_eq!(row.to_cells(), cells_of(case), "{}", case["name"]);
        assert_eq!(Row::from_cells(&cells_of(case)), Ok(row), "{}", case["name"]);
    }
}

#[test]
fn broken_cells_are_refused_with_the_rule_and_the_value() {
    for case in list(&load("row_codec.json")["invalid"]) {
        let error = Row::from_cells(&cells_of(case)).expect_err(text(&case["name"])).to_string();
        assert!(error.contains(text(&case["message"])), "{}: {error}", case["name"]);
    }
}

#[test]
fn accounts_order_like_their_keys() {
    let model = ModelId([9; 32]);
    let accounts = [
        Account::None,
        Account::draw(ChannelId([0; 32])),
        Account::draw(ChannelId([255; 32])),
        Account::Fixed(EarnerIndex(255)),
        Account::Fixed(EarnerIndex(256)),
        Account::Pool(ModelId([0; 32]).into()),
        Account::Pool(model.into()),
        Account::Balance(Balance::new(ModelId([0; 32]), EarnerIndex(u32::MAX))),
        Account::Balance(Balance::new(model, EarnerIndex(1))),
    ];
    assert!(accounts.is_sorted());
    assert!(accounts.map(|account| account.key()).is_sorted());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_is_read_is_written_back(
        kind in 0_u8..16,
        bytes in prop::array::uniform8(prop::array::uniform31(any::<u8>())),
        zeros in prop::array::uniform8(0_usize..=31),
    ) {
        // Cells that begin or end with zeros are read more often than random ones.
        let mut cells: Cells = bytes;
        for (i, cell) in cells.iter_mut().enumerate() {
            let at = zeros[i];
            if i < 4 { cell[..at].fill(0) } else { cell[31 - at..].fill(0) }
        }
        cells[4][0] = kind;
        if let Ok(row) = Row::from_cells(&cells) {
            prop_assert_eq!(row.to_cells(), cells);
        }
    }
}
