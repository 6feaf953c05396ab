use proptest::prelude::*;

use super::*;
use crate::kv::CacheId;

const CONFIG: SchedulerConfig =
    SchedulerConfig { max_running: 3, step_tokens: 8, max_waiting: 100 };

fn sequence(prompt: usize, max_tokens: usize, slots: &[u32]) -> NewSequence {
    let part = |&slot: &u32| Part { slot: SlotId(slot), rank: 4, scale: 1.0 };
    let parts = slots.iter().map(part).collect();
    NewSequence { prompt: (0..prompt as u32).collect(), max_tokens, parts }
}

/// Tokens that each sequence gets in each step, until everything is done.
fn trace(scheduler: &mut Scheduler, kv: &mut KvPool, answers: &[usize]) -> Vec<Vec<(u64, usize)>> {
    let mut left = answers.to_vec();
    let mut steps = Vec::new();
    while let Some(plan) = scheduler.plan(kv) {
        let mut step: Vec<_> = plan
            .sequences
            .iter()
            .zip(&plan.step.sequences)
            .map(|(id, span)| (id.0, span.range.len()))
            .collect();
        step.sort_unstable();
        steps.push(step);
        for id in plan.sampled {
            left[id.0 as usize] -= 1;
            if left[id.0 as usize] == 0 {
                scheduler.remove(id);
            } else {
                scheduler.append(id, 9);
            }
        }
    }
    steps
}

#[test]
fn decoding_and_chunked_prompts_share_steps() {
    let mut scheduler = Scheduler::new(CONFIG).unwrap();
    let mut kv = KvPool::new(1, 1, 100);
    for (prompt, answer) in [(5, 3), (6, 1), (2, 2), (1, 1)] {
        scheduler.submit(sequence(prompt, answer, &[])).unwrap();
    }
    let steps = trace(&mut scheduler, &mut kv, &[3, 1, 2, 1]);
    let expected: [&[(u64, usize)]; 4] = [
        &[(0, 5), (1, 3)],
        &[(0, 1), (1, 3), (2, 2)],
        // The fourth starts when the second has left.
        &[(0, 1), (2, 1), (3, 1)],
        &[],
    ];
    assert_eq!(steps, expected[..3]);
    assert_eq!((scheduler.running(), scheduler.waiting(), kv.free()), (0, 0, 100));
}

#[test]
fn a_long_sequence_at_the_head_is_not_passed_by_short_ones() {
    let mut scheduler = Scheduler::new(CONFIG).unwrap();
    let mut kv = KvPool::new(1, 1, 10);
    for (prompt, answer) in [(4, 2), (5, 5), (1, 1)] {
        scheduler.submit(sequence(prompt, answer, &[])).unwrap();
    }
    let steps = trace(&mut scheduler, &mut kv, &[2, 5, 1]);
    let first = |id| steps.iter().position(|step| step.iter().any(|(other, _)| *other == id));
    assert_eq!((first(0), first(1), first(2)), (Some(0), Some(2), Some(7)));
}

#[test]
fn equal_adapters_lie_together_and_segments_are_sorted_by_slot() {
    let mut scheduler = Scheduler::new(CONFIG).unwrap();
    let mut kv = KvPool::new(1, 1, 100);
    for slots in [&[2][..], &[2, 1], &[2]] {
        scheduler.submit(sequence(2, 1, slots)).unwrap();
    }
    let Plan { step, sequences, sampled } = scheduler.plan(&mut kv).unwrap();
    step.validate(100, 100).unwrap();
    assert_eq!(sequences, [SequenceId(0), SequenceId(2), SequenceId(1)]);
    assert_eq!(sampled, sequences);
    assert_eq!(step.wanted, [1, 3, 5]);
    let segments: Vec<_> =
        step.segments.iter().map(|s| (s.slot.0, s.range.clone(), s.part)).collect();
    // The third sequence's first part is slot 2 as well, so it joins the segment before it.
    assert_eq!(segments, [(1, 4..6, 1), (2, 0..6, 0)]);
}

#[test]
fn the_queue_is_bounded_and_cancelling_frees() {
    let mut scheduler = Scheduler::new(SchedulerConfig { max_waiting: 2, ..CONFIG }).unwrap();
    let mut kv = KvPool::new(1, 1, 10);
    let first = scheduler.submit(sequence(4, 6, &[])).unwrap();
    let second = scheduler.submit(sequence(4, 6, &[])).unwrap();
    assert!(matches!(scheduler.submit(sequence(1, 1, &[])), Err(Error::Busy(2))));
    assert!(scheduler.submit(sequence(0, 1, &[])).is_err());
    assert_eq!(scheduler.plan(&mut kv).unwrap().sequences, [first]);
    scheduler.remove(second);
    assert_eq!((scheduler.running(), scheduler.waiting()), (1, 0));
    scheduler.remove(first);
    assert_eq!(kv.free(), 10);
    assert!(scheduler.plan(&mut kv).is_none());
}

#[test]
fn bounds_that_would_starve_are_refused() {
    for bad in [
        SchedulerConfig { max_running: 0, ..CONFIG },
        SchedulerConfig { step_tokens: 3, ..CONFIG },
        SchedulerConfig { max_waiting: 0, ..CONFIG },
    ] {
        assert!(Scheduler::new(bad).is_err());
    }
}

/// Prompt length, answer length, adapters, and the step in which it arrives or is cancelled.
type Job = (usize, usize, Vec<u32>, usize, Option<usize>);

fn jobs() -> impl Strategy<Value = Vec<Job>> {
    let slots = proptest::sample::subsequence(vec![1u32, 2, 3], 0..=3);
    let job =
        (1usize..30, 1usize..12, slots, 0usize..20, proptest::option::weighted(0.2, 0usize..40));
    proptest::collection::vec(job, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Every token of every admitted sequence is computed exactly once and in order, whatever
    /// arrives and is cancelled; bounds hold in every step; nothing waits for ever.
    #[test]
    fn every_token_is_computed_exactly_once_and_nobody_starves(
        jobs in jobs(), max_running in 1usize..6, extra in 1usize..10, room in 45usize..120,
    ) {
        let config = SchedulerConfig { max_running, step_tokens: max_running + extra, max_waiting: 100 };
        let mut scheduler = Scheduler::new(config).unwrap();
        let mut kv = KvPool::new(1, 1, room);
        let mut ids: Vec<Option<SequenceId>> = vec![None; jobs.len()];
        let mut computed = vec![0usize; jobs.len()];
        let mut sampled = vec![0usize; jobs.len()];
        let mut gone = vec![false; jobs.len()];
        let mut started: Vec<SequenceId> = Vec::new();

        for round in 0..2000 {
            for (i, (prompt, answer, slots, arrival, cancel)) in jobs.iter().enumerate() {
                if *arrival == round {
                    ids[i] = Some(scheduler.submit(sequence(*prompt, *answer, slots)).unwrap());
                }
                if *cancel == Some(round) && let Some(id) = ids[i] && !gone[i] {
                    scheduler.remove(id);
                    gone[i] = true;
                }
            }
            let Some(plan) = scheduler.plan(&mut kv) else {
                prop_assert_eq!((scheduler.running(), scheduler.waiting()), (0, 0));
                if round > 40 { break } else { continue }
            };
            plan.step.validate(1000, 1000).unwrap();
            prop_assert!(plan.step.tokens.len() <= config.step_tokens);
            prop_assert!(scheduler.running() <= max_running);

            // Everyone whose prompt is done decodes, and the oldest prompt advances.
            let job = |id: SequenceId| ids.iter().position(|other| *other == Some(id)).unwrap();
            let oldest = plan.sequences.iter().min().unwrap();
            prop_assert!(started.iter().all(|s| gone[job(*s)] || s >= oldest));
            let left_out = |s: &&SequenceId| !gone[job(**s)] && !plan.sequences.contains(s);
            prop_assert!(started.iter().filter(left_out).all(|s| computed[job(*s)] < jobs[job(*s)].0));
            let mut starting: Vec<SequenceId> =
                plan.sequences.iter().copied().filter(|id| !started.contains(id)).collect();
            starting.sort_unstable();
            started.extend(starting);
            // First come, first started.
            prop_assert!(started.is_sorted());
            for (id, span) in plan.sequences.iter().zip(&plan.step.sequences) {
                let i = job(*id);
                prop_assert!(!gone[i]);
                let positions = &plan.step.positions[span.range.clone()];
                prop_assert_eq!(positions[0] as usize, computed[i]);
                computed[i] += span.range.len();
                prop_assert!(computed[i] <= jobs[i].0 + jobs[i].1);
                // Segments cover exactly the rows of the adapters' sequences.
                for row in span.range.clone() {
                    let mut parts: Vec<_> = plan.step.segments.iter()
                        .filter(|s| s.range.contains(&row)).map(|s| (s.part, s.slot.0)).collect();
                    parts.sort_unstable();
                    let slots = parts.into_iter().map(|(_, slot)| slot).collect::<Vec<_>>();
                    prop_assert_eq!(&slots, &jobs[i].2);
                }
            }
            for id in plan.sampled {
                let i = job(id);
                sampled[i] += 1;
                prop_assert_eq!(computed[i], jobs[i].0 + sampled[i] - 1);
                if sampled[i] == jobs[i].1 {
                    gone[i] = true;
                    scheduler.remove(id);
                } else {
                    scheduler.append(id, 0);
                }
            }
            let caches: std::collections::BTreeSet<CacheId> =
                plan.step.sequences.iter().map(|span| span.cache).collect();
            prop_assert_eq!(caches.len(), plan.step.sequences.len());
        }
        prop_assert!(gone.iter().all(|gone| *gone), "something never finished");
        prop_assert_eq!(kv.free(), room);
        for (i, (_, answer, _, _, cancel)) in jobs.iter().enumerate() {
            prop_assert!(cancel.is_some() || sampled[i] == *answer);
        }
    }
}
