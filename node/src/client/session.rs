//! How high a payer's next ceiling must be.

use std::sync::{Arc, Mutex, PoisonError};

/// One channel's account as the payer knows it. Clones share it.
///
/// A ceiling is cumulative, so with calls in flight the next one must cover what was charged, the
/// largest fees of the calls in flight, and its own: the operator holds the same sum against it.
/// The payer's sum is never below the operator's, because a call leaves it only after its charge
/// is known, or known not to have happened.
#[derive(Clone, Debug, Default)]
pub struct Session {
    account: Arc<Mutex<Account>>,
}

#[derive(Debug, Default)]
struct Account {
    charged: u64,
    in_flight: u64,
}

/// A call in flight; dropping it takes its largest fee out of the session.
#[derive(Debug)]
pub struct Held {
    account: Arc<Mutex<Account>>,
    max_fee: u64,
    /// Cumulative gwei that the call's voucher must allow.
    pub ceiling: u64,
}

impl Session {
    /// A session of a channel from which `charged` gwei were charged so far.
    pub fn new(charged: u64) -> Self {
        Self { account: Arc::new(Mutex::new(Account { charged, in_flight: 0 })) }
    }

    /// Opens a call that costs at most `max_fee` gwei; `None` if the ceiling would overflow.
    pub fn hold(&self, max_fee: u64) -> Option<Held> {
        let mut account = lock(&self.account);
        let in_flight = account.in_flight.checked_add(max_fee)?;
        let ceiling = account.charged.checked_add(in_flight)?;
        account.in_flight = in_flight;
        Some(Held { account: Arc::clone(&self.account), max_fee, ceiling })
    }

    /// Takes note of what the operator says was charged from the channel; it never falls.
    pub fn learn(&self, charged: u64) {
        let mut account = lock(&self.account);
        account.charged = account.charged.max(charged);
    }

    /// Gwei charged so far, as far as known.
    pub fn charged(&self) -> u64 {
        lock(&self.account).charged
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.account).in_flight -= self.max_fee;
    }
}

fn lock(account: &Mutex<Account>) -> std::sync::MutexGuard<'_, Account> {
    // Every change is one assignment, so a panic elsewhere cannot leave it half done.
    account.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn calls_in_flight_add_up_and_leave_when_they_end() {
        let session = Session::new(100);
        let first = session.hold(10).unwrap();
        let second = session.hold(20).unwrap();
        assert_eq!((first.ceiling, second.ceiling), (110, 130));
        session.learn(107);
        drop(first);
        assert_eq!(session.hold(5).unwrap().ceiling, 107 + 20 + 5);
    }

    #[test]
    fn a_ceiling_that_would_overflow_is_refused() {
        assert!(Session::new(u64::MAX).hold(1).is_none());
    }

    proptest! {
        /// Whatever the order of answers, a ceiling covers what the operator charged and reserves.
        #[test]
        fn ceilings_cover_the_operators_sum(
            calls in prop::collection::vec((1u64..1000, 0u64..=100, any::<prop::sample::Index>()), 1..40),
        ) {
            let session = Session::new(0);
            let (mut charged, mut reserved) = (0u64, 0u64);
            let mut open: Vec<(Held, u64, u64)> = Vec::new();
            for (max_fee, percent, which) in calls {
                let held = session.hold(max_fee).unwrap();
                prop_assert!(held.ceiling >= charged + reserved + max_fee);
                reserved += max_fee;
                open.push((held, max_fee, max_fee * percent / 100));
                if open.len() > 3 {
                    let (held, max_fee, fee) = open.swap_remove(which.index(open.len()));
                    charged += fee;
                    reserved -= max_fee;
                    session.learn(charged);
                    drop(held);
                }
            }
        }
    }
}
