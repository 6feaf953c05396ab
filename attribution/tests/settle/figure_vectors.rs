//! The rules of figures, against the independent script's numbers, which Solidity is held to as well.

use attribution::settle::{Conduct, Measured, Mix, credit_share, factor};
use serde_json::Value;

use super::vectors::load;

/// A column of a table, at least 36 numbers.
fn column<T: TryFrom<u64, Error: std::fmt::Debug>>(table: &Value, name: &str) -> Vec<T> {
    let numbers = table[name].as_array().unwrap();
    assert!(numbers.len() >= 36, "{} numbers of {name}", numbers.len());
    numbers.iter().map(|number| T::try_from(number.as_u64().unwrap()).unwrap()).collect()
}

#[test]
fn influence_shares_are_those_of_the_independent_script() {
    let table = &load("figures.json")["reports"];
    let (lds, ceiling) = (column(table, "lds"), column(table, "ceiling"));
    for (i, share) in column::<u16>(table, "influence").into_iter().enumerate() {
        let measured = Measured { lds: lds[i], ceiling: ceiling[i] };
        assert_eq!(measured.influence_bps(), share, "{measured:?}");
    }
}

#[test]
fn reputations_are_those_of_the_independent_script() {
    let table = &load("figures.json")["conducts"];
    let counts =
        ["accepted", "refused", "earning", "harmful", "penalties"].map(|name| column(table, name));
    for (i, bps) in column::<u16>(table, "reputation").into_iter().enumerate() {
        let conduct = Conduct {
            accepted: counts[0][i],
            refused: counts[1][i],
            earning_batches: counts[2][i],
            harmful_batches: counts[3][i],
            penalties: counts[4][i],
        };
        assert_eq!(conduct.reputation(), bps, "{conduct:?}");
    }
}

#[test]
fn credit_shares_are_those_of_the_independent_script() {
    let table = &load("figures.json")["shares"];
    let (influence, spans) = (column(table, "influence"), column::<u16>(table, "spans"));
    let citations = column::<u16>(table, "citations");
    for (i, expected) in column::<u16>(table, "share").into_iter().enumerate() {
        let mix = Mix::new(spans[i], citations[i]).unwrap();
        assert_eq!(credit_share(influence[i], mix), expected, "{} by {mix:?}", influence[i]);
    }
}

#[test]
fn a_report_says_nothing_of_a_model_that_spans_or_citations_pay() {
    let nothing = Measured { lds: 0, ceiling: 10_000 };
    for mix in [Mix::new(10_000, 0).unwrap(), Mix::new(4_000, 6_000).unwrap()] {
        assert_eq!(nothing.factor(mix, 10_000), 10_000);
        assert_eq!(nothing.factor(mix, 2_500), 2_500, "reputation counts for all credits");
    }
    assert_eq!(nothing.factor(Mix::default(), 10_000), 0);
    let known = Measured { lds: 6_000, ceiling: 5_000 };
    // 0.72 of 60% and the whole of 40%; floor(8 320 * 7 501 / 10 000).
    assert_eq!(known.factor(Mix::new(2_500, 1_500).unwrap(), 7_501), 6_240);
}

#[test]
fn factors_are_those_of_the_independent_script() {
    let table = &load("figures.json")["factors"];
    let (share, bps) = (column(table, "share"), column(table, "reputation"));
    for (i, expected) in column::<u16>(table, "factor").into_iter().enumerate() {
        assert_eq!(factor(share[i], bps[i]), expected, "{} {}", share[i], bps[i]);
    }
}
