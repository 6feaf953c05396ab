use attribution::{
    Error,
    settle::{Price, Split, floor_bps},
};
use proptest::prelude::*;

use crate::vectors::{list, load, number};

#[test]
fn fees_and_shares_are_those_that_solidity_computes() {
    for case in list(&load("fee_split.json")["fees"]) {
        let price = Price {
            input_rate: number(&case["inputRate"]),
            output_rate: number(&case["outputRate"]),
            platform_fee: number(&case["platformFee"]),
        };
        let [platform, model, stakers, contributors] =
            ["platformBps", "modelBps", "stakersBps", "contributorsBps"].map(|b| number(&case[b]));
        let split = Split::new(platform, model, stakers, contributors).unwrap();
        let (Ok(tokens_in), Ok(tokens_out)) = (
            u32::try_from(number::<u64>(&case["inputTokens"])),
            u32::try_from(number::<u64>(&case["outputTokens"])),
        ) else {
            continue; // more tokens than a record can hold
        };
        let fee: u64 = number(&case["fee"]);

        if i64::try_from(fee).is_ok() {
            assert_eq!(price.fee_ceil(tokens_in, tokens_out), Ok(fee), "{case}");
        } else {
            let refused = price.fee_ceil(tokens_in, tokens_out);
            assert!(matches!(refused, Err(Error::Overflow { .. })), "{case}");
        }
        let shares = split.shares(fee);
        let expected =
            ["treasury", "model", "stakers", "contributors"].map(|s| number::<u64>(&case[s]));
        assert_eq!(
            [shares.treasury, shares.model, shares.stakers, shares.contributors],
            expected,
            "{case}"
        );
    }
}

#[test]
fn a_fee_rounds_each_charge_up() {
    let price = Price { input_rate: 1, output_rate: 1, platform_fee: 0 };
    assert_eq!(price.fee_ceil(1, 1), Ok(2));
    assert_eq!(price.fee_ceil(1000, 0), Ok(1));
    assert_eq!(price.fee_ceil(1001, 0), Ok(2));
    assert_eq!(price.fee_ceil(0, 0), Ok(0));
}

#[test]
fn a_fee_above_what_a_row_can_post_is_refused() {
    let limit = i64::MAX.unsigned_abs();
    let price = |platform_fee| Price { platform_fee, ..Price::default() };
    assert_eq!(price(limit).fee_ceil(0, 0), Ok(limit));
    let value = u128::from(limit) + 1;
    assert_eq!(price(limit + 1).fee_ceil(0, 0), Err(Error::Overflow { what: "fee", value }));
    let price = Price { input_rate: u64::MAX, output_rate: u64::MAX, platform_fee: u64::MAX };
    assert!(price.fee_ceil(u32::MAX, u32::MAX).is_err());
}

#[test]
fn a_split_must_be_whole() {
    assert_eq!(Split::new(1000, 2000, 2000, 4999), Err(Error::SplitNotWhole { sum: 9999 }));
    assert_eq!(Split::new(u16::MAX, 1, 0, 0), Err(Error::SplitNotWhole { sum: 65_536 }));
    assert_eq!(Split::new(1000, 2000, 2000, 5000), Ok(Split::default()));
}

#[test]
fn a_quarter_of_the_influence_of_one_open_earns_an_eighth() {
    let pool = Split::default().shares(1_000_000_000).contributors;
    assert_eq!(floor_bps(pool, 2_500), 125_000_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn shares_sum_to_the_fee(fee: u64, cuts in prop::array::uniform3(0_u16..=10_000)) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let [a, b, c] = cuts;
        let shares = Split::new(a, b - a, c - b, 10_000 - c).unwrap().shares(fee);
        let sum = [shares.model, shares.stakers, shares.contributors]
            .iter()
            .try_fold(shares.treasury, |sum, share| sum.checked_add(*share));
        prop_assert_eq!(sum, Some(fee));
        let platform = floor_bps(fee, a);
        // At most one gwei is lost by each of the three floors.
        prop_assert!((platform..=platform + 3).contains(&shares.treasury));
    }
}
