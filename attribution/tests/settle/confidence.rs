use attribution::settle::{MIN_CEILING, Measured, Mix};
use proptest::prelude::*;

#[test]
fn known_reports() {
    for (lds, ceiling, share) in [
        (0, 5_000, 0),
        // 0.466^2 / 0.5 = 0.434312, 0.583^2 / 0.6 = 0.566481...
        (4_660, 5_000, 4_343),
        (5_830, 6_000, 5_664),
        (5_000, 2_500, 10_000),
        (5_000, 10_000, 2_500),
        // Below the least ceiling: 0.1^2 / 0.25.
        (1_000, 0, 400),
        (u16::MAX, 0, 10_000),
        (u16::MAX, u16::MAX, 10_000),
    ] {
        assert_eq!(Measured { lds, ceiling }.influence_bps(), share, "{lds} {ceiling}");
    }
    assert_eq!(Measured { lds: 4_660, ceiling: 5_000 }.factor(Mix::default(), 7_500), 3_257);
}

proptest! {
    #[test]
    fn it_grows_with_the_score_and_falls_with_the_ceiling(
        lds: u16, ceiling: u16, by in 0u16..5_000, reputation in 0u16..=10_000,
    ) {
        let measured = Measured { lds, ceiling };
        let share = measured.influence_bps();
        prop_assert!(share <= 10_000);
        let higher = Measured { lds: lds.saturating_add(by), ceiling };
        prop_assert!(higher.influence_bps() >= share);
        let noisier = Measured { lds, ceiling: ceiling.saturating_add(by) };
        prop_assert!(noisier.influence_bps() <= share);
        let whole = Mix::default();
        prop_assert!(measured.factor(whole, reputation) <= share.min(reputation));
        prop_assert_eq!(measured.factor(whole, 10_000), share);
        let least = Measured { lds, ceiling: ceiling.max(MIN_CEILING) };
        prop_assert_eq!(least.influence_bps(), share);
    }
}
