mod random;
mod world;

use std::time::Instant;

use self::world::{Slots, World, hash, sequence};
use super::*;
use crate::kv::{BLOCK_TOKENS, KvShape};

const CONFIG: SchedulerConfig = SchedulerConfig {
    max_running: 3,
    step_tokens: 8,
    max_waiting: 100,
    max_tenant_waiting: 100,
    drain_after: Duration::from_millis(5),
    prefix_cache: true,
};

fn pool(tokens: usize) -> KvPool {
    KvPool::new(KvShape { layers: 1, key_width: 1, value_width: 1 }, tokens)
}

#[test]
fn decoding_and_chunked_prompts_share_steps() {
    let mut world = World::new(CONFIG, 160, Slots::all());
    for (prompt, answer) in [(5, 3), (6, 1), (2, 2), (1, 1)] {
        world.submit(sequence(prompt, answer, &[]));
    }
    let expected: [&[(u64, usize)]; 4] = [
        &[(0, 5), (1, 3)],
        &[(0, 1), (1, 3), (2, 2)],
        // The fourth starts when the second has left.
        &[(0, 1), (2, 1), (3, 1)],
        &[],
    ];
    assert_eq!(world.run(10), expected[..3]);
    let Scheduler { counters, .. } = world.scheduler;
    assert_eq!((counters.started, counters.preemptions), (4, 0));
    assert_eq!(world.kv.available(), 10);
}

#[test]
fn a_long_sequence_at_the_head_is_not_passed_by_short_ones() {
    let mut world = World::new(CONFIG, 4 * BLOCK_TOKENS, Slots::all());
    // The second needs three blocks and one spare, the first has one of the four.
    for (prompt, answer) in [(4, 2), (40, 5), (1, 1)] {
        world.submit(sequence(prompt, answer, &[]));
    }
    let steps = world.run(30);
    let first = |id| steps.iter().position(|step| step.iter().any(|(other, _)| *other == id));
    assert_eq!(first(0), Some(0));
    assert_eq!(first(1), Some(2));
    assert!(first(2) >= first(1));
}

#[test]
fn equal_adapters_lie_together_and_segments_are_sorted_by_slot() {
    let mut scheduler = Scheduler::new(CONFIG).unwrap();
    let (mut kv, mut slots) = (pool(160), Slots::all());
    for adapters in [&[2][..], &[1, 2], &[2]] {
        scheduler.submit(sequence(2, 1, adapters)).unwrap();
    }
    let planned = scheduler.plan(&mut kv, &mut slots, Instant::now());
    let Plan { step, sequences, sampled } = planned.plan.unwrap();
    step.validate(100, 100).unwrap();
    assert_eq!(sequences, [SequenceId(1), SequenceId(0), SequenceId(2)]);
    assert_eq!(sampled, sequences);
    assert_eq!(step.wanted, [1, 3, 5]);
    let segments: Vec<_> =
        step.segments.iter().map(|s| (s.slot.0, s.range.clone(), s.part)).collect();
    assert_eq!(segments, [(1, 0..2, 0), (2, 0..2, 1), (2, 2..6, 0)]);
}

#[test]
fn the_queue_is_bounded_and_cancelling_frees() {
    let config = SchedulerConfig { max_waiting: 3, max_tenant_waiting: 2, ..CONFIG };
    let mut scheduler = Scheduler::new(config).unwrap();
    let (mut kv, mut slots) = (pool(16), Slots::all());
    let first = scheduler.submit(sequence(4, 6, &[])).unwrap();
    let second = scheduler.submit(sequence(4, 6, &[])).unwrap();
    let busy = |result| matches!(result, Err(Error::Busy { waiting, .. }) if waiting >= 2);
    assert!(busy(scheduler.submit(sequence(1, 1, &[]))));
    let of = |tenant| NewSequence { tenant, ..sequence(1, 1, &[]) };
    let third = scheduler.submit(of(1)).unwrap();
    assert!(busy(scheduler.submit(of(2))));
    assert!(scheduler.submit(sequence(0, 1, &[])).is_err());
    let plan = scheduler.plan(&mut kv, &mut slots, Instant::now()).plan.unwrap();
    assert_eq!(plan.sequences, [first]);
    scheduler.remove(second);
    scheduler.remove(third);
    assert_eq!((scheduler.running(), scheduler.waiting()), (1, 0));
    scheduler.remove(first);
    assert_eq!(kv.available(), 1);
    assert!(scheduler.plan(&mut kv, &mut slots, Instant::now()).plan.is_none());
}

#[test]
fn bounds_that_would_starve_are_refused() {
    for bad in [
        SchedulerConfig { max_running: 0, ..CONFIG },
        SchedulerConfig { step_tokens: 3, ..CONFIG },
        SchedulerConfig { max_waiting: 0, ..CONFIG },
        SchedulerConfig { max_tenant_waiting: 0, ..CONFIG },
    ] {
        assert!(Scheduler::new(bad).is_err());
    }
}

#[test]
fn tenants_take_turns() {
    let config = SchedulerConfig { max_running: 1, ..CONFIG };
    let mut world = World::new(config, 160, Slots::all());
    for tenant in [7, 7, 7, 7, 8, 9, 8] {
        world.submit(NewSequence { tenant, ..sequence(3, 1, &[]) });
    }
    let order: Vec<u64> = world.run(20).iter().map(|step| step[0].0).collect();
    assert_eq!(order, [0, 4, 5, 1, 6, 2, 3]);
}

#[test]
fn the_youngest_gives_its_blocks_back_and_goes_on_first() {
    // Each needs two blocks in the end, and there are three.
    let mut world = World::new(CONFIG, 3 * BLOCK_TOKENS, Slots::all());
    for tenant in 0..3 {
        world.submit(NewSequence { tenant, salt: tenant, ..sequence(6, 20, &[]) });
    }
    world.run(500);
    assert!(world.scheduler.counters().preemptions > 0);
    assert_eq!(world.finished, [0, 1, 2]);
    assert_eq!(world.kv.available(), 3);
}

#[test]
fn a_beginning_is_computed_once() {
    let mut world = World::new(CONFIG, 20 * BLOCK_TOKENS, Slots::all());
    let prompt = |adapters, salt| NewSequence { salt, ..sequence(50, 2, adapters) };
    let mut computed = |new: NewSequence| {
        world.submit(new);
        world.run(100).iter().flatten().map(|(_, tokens)| tokens).sum::<usize>()
    };
    assert_eq!(computed(prompt(&[], 0)), 51);
    assert_eq!(computed(prompt(&[], 0)), 3);
    // Other adapters or another salt share nothing.
    assert_eq!(computed(prompt(&[1], 0)), 51);
    assert_eq!(computed(prompt(&[], 1)), 51);
    assert_eq!(computed(prompt(&[1], 0)), 3);
    let counters = world.scheduler.counters();
    assert_eq!((counters.known_tokens, counters.shared_tokens), (250, 96));
}

#[test]
fn a_prompt_is_computed_once_for_all_its_answers() {
    for prefix_cache in [false, true] {
        let config = SchedulerConfig { prefix_cache, max_running: 7, ..CONFIG };
        let mut world = World::new(config, 40 * BLOCK_TOKENS, Slots::all());
        let ids = world.submit_n(sequence(40, 3, &[1]), 5);
        let steps = world.run(100);
        let computed = |id: &SequenceId| {
            let own = steps.iter().flatten().filter(|(other, _)| *other == id.0);
            own.map(|(_, tokens)| tokens).sum::<usize>()
        };
        let expected = [42, 3, 3, 3, 3];
        assert_eq!(ids.iter().map(computed).collect::<Vec<_>>(), expected);
        // The same for requests that come one by one, but not without prefix cache.
        let ids: Vec<_> = (0..3).map(|_| world.submit(sequence(33, 1, &[2]))).collect();
        let all: usize = world.run(100).iter().flatten().map(|(_, tokens)| tokens).sum();
        assert_eq!(all, if prefix_cache { 35 } else { 99 });
        assert_eq!(world.finished.len(), 5 + ids.len());
        assert_eq!(world.kv.available(), 40);
    }
}

#[test]
fn answers_go_on_without_the_one_that_computed_their_prompt() {
    let mut world = World::new(CONFIG, 40 * BLOCK_TOKENS, Slots::all());
    let ids = world.submit_n(sequence(40, 2, &[]), 3);
    world.round();
    world.cancel(ids[0]);
    let steps = world.run(100);
    assert_eq!(world.finished, [1, 2]);
    // The second finds two blocks of the cancelled one's or computes all; the third has its cache.
    let third: usize =
        steps.iter().flatten().filter(|(id, _)| *id == 2).map(|(_, tokens)| tokens).sum();
    assert_eq!(third, 2);
    // Nobody is left to wait for it.
    assert!(world.scheduler.leaders.is_empty());
    let busy = SchedulerConfig { max_waiting: 2, ..CONFIG };
    let mut scheduler = Scheduler::new(busy).unwrap();
    assert!(matches!(scheduler.submit_n(sequence(4, 1, &[]), 3), Err(Error::Busy { .. })));
    assert_eq!(scheduler.waiting(), 0);
    assert!(matches!(scheduler.submit_n(sequence(4, 1, &[]), 0), Err(Error::Request(_))));
}

#[test]
fn forks_that_wait_make_room_for_what_is_before_them() {
    // One prompt and one block more: the first fork cannot start beside the leader, and the others
    // hold what it needs when the leader is gone.
    let config = SchedulerConfig { prefix_cache: false, max_running: 3, step_tokens: 8, ..CONFIG };
    let mut world = World::new(config, 5 * BLOCK_TOKENS, Slots::all());
    world.submit_n(sequence(49, 2, &[]), 4);
    world.run(100);
    assert_eq!(world.finished, [0, 1, 2, 3]);
    assert_eq!(world.kv.available(), 5);
}

#[test]
fn loading_adapters_are_passed_and_unknown_ones_refused() {
    let mut world = World::new(CONFIG, 160, Slots::new(2, 4));
    world.submit(sequence(2, 1, &[1]));
    world.submit(sequence(2, 1, &[]));
    world.submit(sequence(2, 1, &[99]));
    let steps = world.run(20);
    assert_eq!(steps[0], [(1, 2)]);
    assert_eq!(world.finished, [1, 0]);
    assert_eq!(world.refused, [2]);
}

/// One slot, and a request for its adapter in every round: without the rule, a request for another
/// adapter never gets the slot.
#[test]
fn a_cold_adapter_waits_for_hot_ones_only_so_long() {
    let finished_in = |drain_after| {
        let config = SchedulerConfig { drain_after, ..CONFIG };
        let mut world = World::new(config, 1600, Slots::new(1, 2));
        for round in 0..300 {
            let hot = NewSequence { tenant: round % 5, ..sequence(3, 3, &[1]) };
            // More cannot be served in a round.
            if world.scheduler.waiting() < 20 {
                world.submit(hot);
            }
            if round == 10 {
                world.cold = Some(world.submit(NewSequence { tenant: 99, ..sequence(3, 3, &[2]) }));
            }
            world.round();
            if world.cold.is_some_and(|cold| world.finished.contains(&cold.0)) {
                return Some(round);
            }
        }
        None
    };
    let prompt = finished_in(Duration::from_millis(5)).expect("the rule lets it in");
    assert!(prompt < 40, "{prompt}");
    assert_eq!(finished_in(Duration::from_secs(1000)), None);
}

#[test]
fn adapters_of_waiting_sequences_are_prefetched_once() {
    let config = SchedulerConfig { max_running: 1, ..CONFIG };
    let mut world = World::new(config, 160, Slots::all());
    for adapter in [1, 2, 3] {
        world.submit(sequence(2, 5, &[adapter]));
    }
    world.round();
    world.round();
    assert_eq!(world.slots.prefetched, [vec![hash(2)], vec![hash(3)]]);
}
