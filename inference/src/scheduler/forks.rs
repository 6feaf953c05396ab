//! Sequences that begin with the cache of another one with the same prompt.

use super::{Scheduler, SequenceId, queue::Fork};
use crate::kv::{BLOCK_TOKENS, KvPool};

impl Scheduler {
    /// A running sequence that is computing this waiting one's prompt. A prompt of one block is
    /// computed sooner than it is waited for.
    pub(super) fn twin(&self, id: SequenceId) -> Option<SequenceId> {
        let waiting = self.waiting.iter().find(|waiting| waiting.id == id)?;
        let prompt = &waiting.sequence.prompt;
        let asked = self.config.prefix_cache
            && prompt.len() > BLOCK_TOKENS
            && matches!(waiting.fork, Fork::No);
        let twin = |running: &super::Running| running.computes(&waiting.key, prompt);
        let mut running = self.running.iter().filter(|_| asked);
        running.find(|(_, running)| twin(running)).map(|(id, _)| *id)
    }

    /// A sequence waits until another one has computed their prompt.
    pub(super) fn follow(&mut self, id: SequenceId, leader: SequenceId) {
        if let Some(waiting) = self.waiting.get_mut(id) {
            waiting.fork = Fork::After(leader);
            self.leaders.insert(leader);
        }
    }

    /// The prompt of `leader` has been computed: those that wait for it get its cache, without the
    /// last token, whose result they want.
    pub(super) fn fork(&mut self, leader: SequenceId, kv: &mut KvPool) {
        let Some(running) = self.running.get(&leader) else { return };
        for waiting in self.waiting.iter_mut() {
            if matches!(waiting.fork, Fork::After(id) if id == leader) {
                let tokens = waiting.sequence.prompt.len() - 1;
                let fork = kv.fork_first(running.cache(), tokens).expect("the lease is held");
                waiting.fork = Fork::Of(fork);
            }
        }
    }

    /// A sequence is gone: the first of those that wait for it takes its place.
    pub(super) fn succeed(&mut self, gone: SequenceId) {
        if !self.leaders.remove(&gone) {
            return;
        }
        let follows = |fork: &Fork| matches!(fork, Fork::After(id) if *id == gone);
        let heir = self.waiting.iter().filter(|w| follows(&w.fork)).map(|w| w.id).min();
        let Some(heir) = heir else { return };
        for waiting in self.waiting.iter_mut().filter(|w| follows(&w.fork)) {
            waiting.fork = if waiting.id == heir { Fork::No } else { Fork::After(heir) };
        }
        self.leaders.insert(heir);
    }

    /// Takes the caches of waiting sequences from them, so that those that run can go on. False if
    /// there are none.
    pub(super) fn give_forks_up(&mut self) -> bool {
        let mut any = false;
        for waiting in self.waiting.iter_mut() {
            if matches!(waiting.fork, Fork::Of(_)) {
                waiting.fork = Fork::No;
                any = true;
            }
        }
        any
    }
}
