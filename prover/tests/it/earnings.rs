use std::collections::BTreeMap;

use ark_ff::One;
use attribution::settle::EarnerIndex;
use proptest::prelude::*;
use prover::{
    Claim, EarningsPage, Error, Fr, G1Affine, commit_payouts, page_of, verify, verify_many,
};

use crate::SRS;

const SIZE: u32 = 256;

type Earnings = BTreeMap<EarnerIndex, u64>;

fn earnings(of: &[(u32, u64)]) -> Earnings {
    of.iter().map(|&(earner, gwei)| (EarnerIndex(earner), gwei)).collect()
}

#[test]
fn an_earner_has_one_place_on_one_page() {
    assert_eq!(page_of(1 << 16, EarnerIndex(0x0003_0007)).unwrap(), (3, 7));
    assert_eq!(page_of(1, EarnerIndex(9)).unwrap(), (9, 0));
    assert!(matches!(page_of(0, EarnerIndex(9)), Err(Error::PageSize { given: 0, .. })));
    assert!(matches!(page_of(1000, EarnerIndex(9)), Err(Error::PageSize { given: 1000, .. })));
}

#[test]
fn payouts_are_committed_by_page_without_empty_ones() {
    let payouts = earnings(&[(1, 5), (255, 6), (256, 0), (512, 7), (u32::MAX, 8)]);
    let pages = commit_payouts(&SRS, SIZE, &payouts).unwrap();
    let numbers: Vec<_> = pages.iter().map(|(page, _)| *page).collect();
    assert_eq!(numbers, [0, 2, u32::MAX / SIZE]);
    for (page, commitment) in pages {
        assert_eq!(
            EarningsPage::new(SIZE, page, &payouts).unwrap().commit(&SRS).unwrap(),
            commitment
        );
    }
    assert!(commit_payouts(&SRS, SIZE, &Earnings::new()).unwrap().is_empty());
    let empty = EarningsPage::new(SIZE, 1, &payouts).unwrap().commit(&SRS).unwrap();
    assert_eq!(prover::evm::G1::from(empty), prover::evm::G1::default());
}

#[test]
fn one_earner_at_the_first_point_of_a_page_of_one_is_that_many_generators() {
    let payouts = earnings(&[(3, 77)]);
    let page = EarningsPage::new(1, 3, &payouts).unwrap();
    assert_eq!(page.commit(&SRS).unwrap(), G1Affine::from(SRS.g1()[0] * Fr::from(77)));
}

#[test]
fn an_opening_holds_for_its_earner_value_and_commitment_only() {
    let of = earnings(&[(1, 500), (10, 321), (255, u64::MAX)]);
    let page = EarningsPage::new(SIZE, 0, &of).unwrap();
    let commitment = page.commit(&SRS).unwrap();
    let holds = |commitment, opening: &_| verify(SRS.tau_g2(), commitment, opening).unwrap();
    for earner in [1, 2, 10, 255] {
        let opening = page.open(&SRS, EarnerIndex(earner)).unwrap();
        let gwei = of.get(&EarnerIndex(earner)).copied().unwrap_or(0);
        assert_eq!(opening.value, Fr::from(gwei));
        assert!(holds(commitment, &opening));

        let mut wrong = opening;
        wrong.value += Fr::one();
        assert!(!holds(commitment, &wrong));
        wrong = opening;
        wrong.index ^= 3;
        assert!(!holds(commitment, &wrong));
        wrong.index = opening.domain_size;
        assert!(!holds(commitment, &wrong));
        wrong = opening;
        wrong.witness = SRS.g1()[1];
        assert!(!holds(commitment, &wrong));
        assert!(!holds(SRS.g1()[0], &opening));
    }
    let other = page.open(&SRS, EarnerIndex(256));
    assert!(matches!(other, Err(Error::OtherPage { page: 0, size: 256, earner: 256 })));
}

#[test]
fn a_page_larger_than_the_setup_is_refused() {
    let page = EarningsPage::new(8192, 0, &earnings(&[(1, 1)])).unwrap();
    let refused = page.commit(&SRS);
    assert!(matches!(refused, Err(Error::TooManyCoefficients { given: 8192, max: 4096 })));
    let huge = EarningsPage::new(1 << 20, 0, &Earnings::new());
    assert!(matches!(huge, Err(Error::PageSize { given: 1_048_576, .. })));
}

#[test]
fn all_openings_of_a_page_are_the_single_ones() {
    for size in [1, 2, 4, 64, SIZE] {
        let all = (0..size).map(|i| (i, u64::from(i) * 0x1234_5678_9abc % 1_000_003));
        let sparse = earnings(&[(0, 3), (size - 1, u64::MAX)]);
        for of in [all.map(|(i, gwei)| (EarnerIndex(i), gwei)).collect(), sparse, Earnings::new()] {
            let page = EarningsPage::new(size, 0, &of).unwrap();
            let mut stages = Vec::new();
            let openings = page.open_all(&SRS, |progress| stages.push(progress)).unwrap();
            let single = (0..size).map(|i| page.open(&SRS, EarnerIndex(i)).unwrap());
            assert_eq!(openings, single.collect::<Vec<_>>(), "{size}");
            assert_eq!(stages.last().unwrap().done, stages[0].of);
            assert_eq!(stages.len(), stages[0].of as usize);
        }
    }
}

#[test]
fn many_openings_are_the_single_ones_whichever_way_they_are_made() {
    let of = earnings(&[(SIZE + 1, 5), (SIZE + 77, 1 << 40)]);
    let page = EarningsPage::new(SIZE, 1, &of).unwrap();
    for count in [0, 1, 3, SIZE] {
        let earners: Vec<_> = (0..count).rev().map(|i| EarnerIndex(SIZE + i)).collect();
        let single = earners.iter().map(|&earner| page.open(&SRS, earner).unwrap());
        assert_eq!(page.open_many(&SRS, &earners).unwrap(), single.collect::<Vec<_>>());
    }
    let other: Vec<_> = (0..=SIZE).map(EarnerIndex).collect();
    assert!(matches!(page.open_many(&SRS, &other), Err(Error::OtherPage { earner: 0, .. })));
}

fn some_earnings() -> impl Strategy<Value = Earnings> {
    prop::collection::btree_map((0_u32..SIZE * 2).prop_map(EarnerIndex), 0..u64::MAX / 4, 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn commitments_of_batches_add_up_to_cumulative_earnings(
        batches in prop::collection::vec(some_earnings(), 1..4),
        claimed in prop::collection::vec(SIZE..SIZE * 2, 1..5),
    ) {
        let mut cumulative = Earnings::new();
        let mut stored = G1Affine::identity();
        for batch in &batches {
            let page = EarningsPage::new(SIZE, 1, batch).unwrap();
            stored = (stored + page.commit(&SRS).unwrap()).into();
            for (&earner, &gwei) in batch {
                *cumulative.entry(earner).or_default() += gwei;
            }
        }
        let page = EarningsPage::new(SIZE, 1, &cumulative).unwrap();
        prop_assert_eq!(page.commit(&SRS).unwrap(), stored);

        let earners: Vec<_> = claimed.into_iter().map(EarnerIndex).collect();
        let openings = page.open_many(&SRS, &earners).unwrap();
        let mut claims: Vec<_> =
            openings.into_iter().map(|opening| Claim { commitment: stored, opening }).collect();
        prop_assert!(verify_many(SRS.tau_g2(), &claims).unwrap());
        claims.last_mut().unwrap().opening.value += Fr::one();
        prop_assert!(!verify_many(SRS.tau_g2(), &claims).unwrap());
    }
}

#[test]
fn errors_of_two_openings_do_not_cancel() {
    let page = EarningsPage::new(SIZE, 0, &earnings(&[(1, 500), (2, 500)])).unwrap();
    let commitment = page.commit(&SRS).unwrap();
    let mut claims = [1, 2]
        .map(|earner| Claim { commitment, opening: page.open(&SRS, EarnerIndex(earner)).unwrap() });
    claims[0].opening.value += Fr::one();
    claims[1].opening.value -= Fr::one();
    assert!(!verify_many(SRS.tau_g2(), &claims).unwrap());
    assert!(verify_many(SRS.tau_g2(), &[]).unwrap());
}
