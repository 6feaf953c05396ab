use std::collections::BTreeMap;

use attribution::{
    Error,
    settle::{
        Balance, BatchHeader, BatchInputs, Call, Cells, ChannelId, EarnerIndex, Factors, Info,
        Ledger, ModelId, ModelOwner, Payees, Price, Record, Row, Split, Statement, Terms, build,
        check_balanced,
    },
};
use serde_json::Value;

use crate::vectors::{bytes, list, load, number};

fn earner(value: &Value) -> EarnerIndex {
    EarnerIndex(number(value))
}

fn record(value: &Value) -> Record {
    let numbers = |name: &str| list(&value[name]).iter().map(number::<u64>).collect::<Vec<_>>();
    let bps: Vec<u16> = list(&value["split"]).iter().map(number).collect();
    let rates = numbers("price");
    let call = Call {
        channel: ChannelId(bytes(&value["channel"])),
        from: number(&value["from"]),
        voucher: bytes(&value["voucher"]),
        model: ModelId(bytes(&value["model"])),
        price_version: number(&value["priceVersion"]),
        time: number(&value["time"]),
        tokens_in: number(&value["tokensIn"]),
        tokens_out: number(&value["tokensOut"]),
        record: bytes(&value["record"]),
    };
    let terms = Terms {
        price: Price { input_rate: rates[0], output_rate: rates[1], platform_fee: rates[2] },
        split: Split::new(bps[0], bps[1], bps[2], bps[3]).unwrap(),
        max_credits: number(&value["maxCredits"]),
    };
    let owner = |o: &Value| ModelOwner { earner: earner(&o[0]), weight: number(&o[1]) };
    let owners = list(&value["owners"]).iter().map(owner).collect();
    let payees = Payees { owners, stakers: earner(&value["stakers"]) };
    let scores: Vec<_> =
        list(&value["scores"]).iter().map(|s| (earner(&s[0]), number(&s[1]))).collect();
    Record::new(call, terms, payees, &scores).unwrap()
}

fn ledger(inputs: &Value) -> Ledger {
    let header = BatchHeader {
        chain_id: number(&inputs["chainId"]),
        settlement: bytes(&inputs["settlement"]),
        operator: bytes(&inputs["operator"]),
        epoch: number(&inputs["epoch"]),
    };
    let balance = |c: &Value| (Balance::new(ModelId(bytes(&c[0])), earner(&c[1])), number(&c[2]));
    let rows = |w: &Value| list(w).iter().map(|r| (earner(&r[0]), number(&r[1]))).collect();
    let weights = list(&inputs["weights"]).iter().map(|w| (ModelId(bytes(&w[0])), rows(&w[1])));
    let bps = list(&inputs["reputation"]).iter().map(|r| (earner(&r[0]), number(&r[1])));
    let records: Vec<_> = list(&inputs["records"]).iter().map(record).collect();
    build(&BatchInputs {
        header,
        carries: &list(&inputs["carries"]).iter().map(balance).collect(),
        records: &records,
        weights: &weights.collect(),
        factors: &Factors { reputation: bps.collect(), ..Factors::default() },
    })
    .unwrap()
}

#[test]
fn the_ledger_is_that_of_the_independent_script() {
    let vectors = load("ledger.json");
    let expected = &vectors["ledger"];
    let ledger = ledger(&vectors["inputs"]);

    let rows = list(&expected["rows"]);
    assert_eq!(ledger.rows().len(), rows.len());
    for (i, (row, cells)) in ledger.rows().iter().zip(rows).enumerate() {
        let cells: Cells = list(cells).iter().map(bytes).collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(Row::from_cells(&cells).as_ref(), Ok(row), "row {i}");
        assert_eq!(row.to_cells(), cells, "row {i}");
    }
    assert_eq!(ledger.header().batch_id(), bytes(&expected["batchId"]));
    assert_eq!(ledger.total(), number::<u64>(&expected["total"]));
    let payouts: BTreeMap<_, u64> =
        list(&expected["payouts"]).iter().map(|p| (earner(&p[0]), number(&p[1]))).collect();
    assert_eq!(*ledger.payouts(), payouts);
    let draws: Vec<_> = ledger.draws().iter().map(|d| (d.channel.0, d.from, d.to)).collect();
    let drawn = |d: &Value| (bytes(&d[0]), number(&d[1]), number(&d[2]));
    assert_eq!(draws, list(&expected["draws"]).iter().map(drawn).collect::<Vec<_>>());
    let carries: Vec<_> = ledger.carries().iter().map(|(b, net)| (*b, *net)).collect();
    let carry = |c: &Value| (Balance::new(ModelId(bytes(&c[0])), earner(&c[1])), number(&c[2]));
    assert_eq!(carries, list(&expected["carries"]).iter().map(carry).collect::<Vec<_>>());
}

#[test]
fn a_statement_reads_what_was_built_and_refuses_any_changed_row() {
    let ledger = ledger(&load("ledger.json")["inputs"]);
    let statement = Statement::read(ledger.rows()).unwrap();
    assert_eq!(statement.header, *ledger.header());
    assert_eq!((statement.total, statement.records), (ledger.total(), 4));
    assert_eq!(statement.payouts, *ledger.payouts());
    assert_eq!(statement.carries, *ledger.carries());
    check_balanced(ledger.rows(), ledger.draws()).unwrap();

    for at in 0..ledger.rows().len() {
        let changed = |change: &dyn Fn(&mut Row)| {
            let mut rows = ledger.rows().to_vec();
            change(&mut rows[at]);
            Statement::read(&rows)
        };
        assert!(changed(&|row| row.value += 1).is_err(), "row {at} posts a gwei more");
        assert!(changed(&|row| row.amount += 1).is_err(), "row {at} pays a gwei more");
        assert!(changed(&|row| row.earner.0 ^= 64).is_err(), "row {at} pays another");
        let mut rows = ledger.rows().to_vec();
        rows.remove(at);
        rows.push(Row::PADDING);
        let padding = ledger.rows()[at] == Row::PADDING;
        assert!(padding || Statement::read(&rows).is_err(), "row {at} is left out");
        if at + 1 < ledger.rows().len() && ledger.rows()[at] != ledger.rows()[at + 1] {
            rows = ledger.rows().to_vec();
            rows.swap(at, at + 1);
            assert!(Statement::read(&rows).is_err(), "rows {at} and the next are swapped");
        }
    }
}

/// The rule that rows break which still add up.
fn broken_rule(rows: &[Row]) -> &'static str {
    match Statement::read(rows) {
        Err(Error::Grammar { rule, .. }) => rule,
        other => panic!("not refused by grammar: {:?}", other.map(|statement| statement.total)),
    }
}

#[test]
fn pay_that_adds_up_but_breaks_a_rule_is_refused() {
    let ledger = ledger(&load("ledger.json")["inputs"]);
    let mut rows = ledger.rows().to_vec();
    let moved = rows.iter_mut().find_map(|row| match &mut row.info {
        Info::Payout { influence, flat, .. } if *influence > 0 => Some((influence, flat)),
        _ => None,
    });
    let (influence, flat) = moved.unwrap();
    *influence -= 1;
    *flat += 1;
    assert_eq!(broken_rule(&rows), "influence pay is the positive net times its factor");

    let mut rows = ledger.rows().to_vec();
    let pool = rows.iter_mut().find_map(|row| match &mut row.info {
        Info::PoolClosing { flat, .. } if row.amount > 0 => Some((flat, &mut row.amount)),
        _ => None,
    });
    let (flat, amount) = pool.unwrap();
    *flat += 1;
    *amount -= 1;
    let in_the_red = rows.iter_mut().find_map(|row| match &mut row.info {
        Info::Payout { flat, .. } if row.value > 0 => Some((flat, &mut row.amount)),
        _ => None,
    });
    let (flat, amount) = in_the_red.unwrap();
    *flat += 1;
    *amount += 1;
    assert_eq!(broken_rule(&rows), "a negative net gets no flat pay");
}
