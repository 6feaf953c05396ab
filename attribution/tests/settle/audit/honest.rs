use attribution::settle::{Account, Row, audit::Rows, check_balanced, payouts_of};
use proptest::prelude::*;

use super::world::{BASE, Posted, Served, World, calls, post, rules, world};

fn served() -> impl Strategy<Value = Vec<Served>> {
    let model = prop::sample::select(vec![1, 2, BASE]);
    let call = (0_u8..4, model, 0_u64..100, (0_u32..500, 0_u32..500), any::<i8>());
    prop::collection::vec(call, 1..12).prop_map(|calls| {
        let served = |(channel, model, second, tokens, sketch)| Served {
            channel,
            model,
            second,
            tokens,
            sketch,
        };
        calls.into_iter().map(served).collect()
    })
}

fn worlds() -> impl Strategy<Value = World> {
    let contributors = prop::collection::vec((0_u32..9, -9_i32..9), 0..7);
    (contributors, 0_u8..5).prop_map(|(contributors, max_credits)| {
        let mut world = World::new(&contributors);
        world.rules.max_credits = max_credits;
        world
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn honest_ledgers_have_no_fault(world in worlds(), first in served(), second in served()) {
        let first = post(&world, &first, None);
        prop_assert_eq!(first.faults(&world), []);
        prop_assert_eq!(first.faults_of(&first.symbols(), &world), []);
        prop_assert_eq!(Rows::from_symbols(&first.symbols()), Rows::from_rows(first.rows.clone()));
        let second = post(&world, &second, Some(&first));
        prop_assert_eq!(second.faults(&world), []);
    }
}

/// Whether the rows that decode still add up, as the payout argument shows of what is posted.
fn adds_up(posted: &Posted, rows: &[Row]) -> bool {
    let total = payouts_of(rows).map(|paid| paid.values().map(|&x| u128::from(x)).sum());
    let named = rows.iter().all(|row| row.account != Account::None || row.value == 0);
    named && check_balanced(rows, &posted.draws).is_ok() && total == Ok(u128::from(posted.total))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Fees are such that one token more or less changes them, and none is 0.
    #[test]
    fn no_byte_of_a_ledger_changes_unnoticed(
        at: prop::sample::Index, byte in 0_usize..32, flip in 1_u8..=255, is_second: bool,
    ) {
        let world = world();
        let first = post(&world, &calls(), None);
        let posted = if is_second { post(&world, &calls(), Some(&first)) } else { first };
        let mut symbols = posted.symbols();
        let at = at.index(symbols.len());
        symbols[at][byte] ^= flip;
        let rows = Rows::from_symbols(&symbols);
        let decoded: Vec<_> = (0..rows.len()).filter_map(|row| rows.get(row).cloned()).collect();
        let faults = posted.faults_of(&symbols, &world);
        prop_assert!(
            !faults.is_empty() || !adds_up(&posted, &decoded),
            "symbol {at}, byte {byte}: {:?}", posted.rows[at / 8]
        );
    }

    #[test]
    fn any_bytes_are_audited(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<[u8; 32]>()), 0..40),
        copies in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..20,
        ),
    ) {
        let world = world();
        let first = post(&world, &calls(), None);
        let mut posted = post(&world, &calls(), Some(&first));
        let mut symbols = posted.symbols();
        for (from, to) in copies {
            let (from, to) = (from.index(symbols.len() / 8), to.index(symbols.len() / 8));
            for j in 0..8 {
                symbols[8 * to + j] = symbols[8 * from + j];
            }
        }
        for (at, symbol) in &changes {
            *at.get_mut(&mut symbols) = *symbol;
        }
        for (at, symbol) in &changes {
            let blob = &mut posted.blobs[0];
            blob[at.index(10) * 32..][..32].copy_from_slice(symbol);
        }
        posted.previous = Some(Rows::from_symbols(&symbols));
        let faults = posted.faults_of(&symbols, &world);
        for fault in faults {
            prop_assert!(fault.rows.is_sorted() && fault.rows.iter().all(|&row| row < symbols.len() / 8));
        }
    }
}

#[test]
fn the_calls_of_these_tests_reach_every_kind_of_row() {
    let world = world();
    let first = post(&world, &calls(), None);
    assert_eq!(rules(&first.faults(&world)), []);
    let second = post(&world, &calls(), Some(&first));
    let mut kinds: Vec<_> = second.rows.iter().map(|row| row.info.kind()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, (0..10).collect::<Vec<_>>());
}
