//! Random arrivals.

use proptest::prelude::*;

use super::{super::*, CONFIG, Slots, World, sequence};
use crate::kv::BLOCK_TOKENS;

#[derive(Clone, Debug)]
struct Job {
    prompt: usize,
    /// Prompts with the same beginning are the same up to the shorter one's end.
    beginning: u32,
    answer: usize,
    adapters: Vec<u8>,
    tenant: u64,
    arrival: usize,
    /// Answers to its prompt; only the first is cancelled.
    copies: usize,
    cancel: Option<usize>,
}

impl Job {
    fn sequence(&self) -> NewSequence {
        let new = sequence(self.prompt, self.answer, &self.adapters);
        let prompt = new.prompt.iter().map(|token| token % 7 + self.beginning).collect();
        NewSequence { prompt, tenant: self.tenant, ..new }
    }
}

fn jobs() -> impl Strategy<Value = Vec<Job>> {
    let adapters = proptest::sample::subsequence(vec![1u8, 2, 3, 4], 0..=2);
    let cancel = proptest::option::weighted(0.2, 0usize..60);
    let copies = prop_oneof![3 => Just(1usize), 1 => 2usize..5];
    let sizes = (1usize..60, 0u32..2, 1usize..30);
    let job = (sizes, adapters, 0u64..3, 0usize..30, copies, cancel).prop_map(
        |((prompt, beginning, answer), adapters, tenant, arrival, copies, cancel)| Job {
            prompt,
            beginning,
            answer,
            adapters,
            tenant,
            arrival,
            copies,
            cancel,
        },
    );
    proptest::collection::vec(job, 1..16)
}

/// What every plan must be like.
fn check(plan: &Plan, world: &World, config: &SchedulerConfig) {
    plan.step.validate(1000, 1000).unwrap();
    assert!(plan.step.tokens.len() <= config.step_tokens);
    assert!(world.scheduler.running.len() <= config.max_running);
    for (id, span) in plan.sequences.iter().zip(&plan.step.sequences) {
        let seen = &world.seen[id.0 as usize];
        let positions = &plan.step.positions[span.range.clone()];
        let known = &seen.tokens[positions[0] as usize..][..positions.len()];
        assert_eq!(&plan.step.tokens[span.range.clone()], known);
        // Segments cover exactly the rows of the adapters' sequences.
        for row in span.range.clone() {
            let mut parts: Vec<_> = plan
                .step
                .segments
                .iter()
                .filter(|segment| segment.range.contains(&row))
                .map(|segment| (segment.part, segment.slot.0))
                .collect();
            parts.sort_unstable();
            let slots: Vec<u32> = parts.into_iter().map(|(_, slot)| slot).collect();
            let adapters = seen.new.adapters.parts().iter().map(|(hash, _)| u32::from(hash.0[0]));
            assert_eq!(slots, adapters.collect::<Vec<_>>());
        }
    }
    // The oldest with a cache is in every step.
    let oldest = world.scheduler.running.keys().chain(&plan.sequences).min();
    assert!(oldest.is_none_or(|oldest| plan.sequences.contains(oldest)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Whatever arrives and is cancelled, with too few blocks and slots: everyone finishes in time,
    /// with the tokens that it would have alone, and nothing is left behind.
    #[test]
    fn everyone_gets_the_answer_that_it_would_get_alone_within_a_bound(
        jobs in jobs(), max_running in 1usize..6, extra in 1usize..20, spare in 0usize..6,
        slots in 2usize..5, latency in 0usize..6, prefix_cache: bool,
    ) {
        let step_tokens = max_running + extra;
        let config = SchedulerConfig { max_running, step_tokens, prefix_cache, ..CONFIG };
        let largest = jobs.iter().map(|job| job.prompt + job.answer).max().unwrap();
        let blocks = largest.div_ceil(BLOCK_TOKENS) + spare;
        let mut world = World::new(config, blocks * BLOCK_TOKENS, Slots::new(slots, latency));
        let mut ids = vec![None; jobs.len()];
        // As if each ran alone, a token a round, and each waited for its adapters and the drain.
        let bound: usize =
            60 + jobs
                .iter()
                .map(|job| job.copies * (job.prompt + 2 * job.answer + 2 * latency + 10))
                .sum::<usize>();
        let mut rounds = 0;
        loop {
            for (i, job) in jobs.iter().enumerate() {
                if job.arrival == rounds {
                    ids[i] = Some(world.submit_n(job.sequence(), job.copies)[0]);
                }
                if job.cancel == Some(rounds)
                    && let Some(id) = ids[i]
                    && !world.seen[id.0 as usize].gone
                {
                    world.cancel(id);
                }
            }
            if let Some(plan) = world.round() {
                check(&plan, &world, &config);
            }
            rounds += 1;
            if rounds > 30 && world.seen.iter().all(|seen| seen.gone) {
                break;
            }
            prop_assert!(rounds < bound, "not done after {bound} rounds");
        }
        for id in &world.finished {
            let seen = &world.seen[*id as usize];
            prop_assert_eq!(&seen.tokens, &World::alone(&seen.new));
        }
        prop_assert_eq!((world.scheduler.running(), world.scheduler.waiting()), (0, 0));
        prop_assert_eq!(world.kv.available(), blocks);
    }
}
