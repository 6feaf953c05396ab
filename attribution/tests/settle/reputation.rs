use attribution::settle::{Conduct, MIN_REPUTATION};
use proptest::prelude::*;

#[test]
fn known_conducts() {
    let clean = Conduct { accepted: 50, earning_batches: 9, ..Conduct::default() };
    let cases = [
        (Conduct::default(), 10_000),
        (clean, 10_000),
        // 10 000 * 20 / 21, and 10 000 * 4 / 5.
        (Conduct { refused: 1, ..Conduct::default() }, 9_523),
        (Conduct { harmful_batches: 1, ..Conduct::default() }, 8_000),
        // floor(10 000 * 70 / 80) = 8750, then floor(8750 * 13 / 15) = 7583.
        (Conduct { refused: 10, harmful_batches: 2, ..clean }, 7_583),
        (Conduct { penalties: 1, ..clean }, 5_000),
        (Conduct { penalties: 2, ..clean }, 2_500),
        (Conduct { penalties: u32::MAX, ..clean }, MIN_REPUTATION),
        (Conduct { refused: u32::MAX, ..Conduct::default() }, MIN_REPUTATION),
    ];
    for (conduct, bps) in cases {
        assert_eq!(conduct.reputation(), bps, "{conduct:?}");
    }
}

fn conduct() -> impl Strategy<Value = Conduct> {
    let count = || prop_oneof![0u32..50, any::<u32>()];
    (count(), count(), count(), count(), 0u32..4).prop_map(
        |(accepted, refused, earning_batches, harmful_batches, penalties)| Conduct {
            accepted,
            refused,
            earning_batches,
            harmful_batches,
            penalties,
        },
    )
}

proptest! {
    #[test]
    fn bad_conduct_never_raises_it_and_good_never_lowers_it(conduct in conduct(), by in 1u32..1000) {
        let bps = conduct.reputation();
        prop_assert!((MIN_REPUTATION..=10_000).contains(&bps));
        let more = |x: u32| x.saturating_add(by);
        let Conduct { accepted, refused, earning_batches, harmful_batches, penalties } = conduct;
        for worse in [
            Conduct { refused: more(refused), ..conduct },
            Conduct { harmful_batches: more(harmful_batches), ..conduct },
            Conduct { penalties: more(penalties), ..conduct },
        ] {
            prop_assert!(worse.reputation() <= bps, "{worse:?}");
        }
        for better in [
            Conduct { accepted: more(accepted), ..conduct },
            Conduct { earning_batches: more(earning_batches), ..conduct },
        ] {
            prop_assert!(better.reputation() >= bps, "{better:?}");
        }
    }
}
