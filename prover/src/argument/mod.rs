//! The payout argument of `SPEC.md`: that payout commitments are what a committed ledger says.

mod accumulators;
mod challenges;
mod equations;
mod key;
mod openings;
mod progress;
mod proof;
mod prove;
mod quotients;
mod statement;
#[cfg(test)]
mod tests;
mod transcript;
mod verify;
mod witness;

pub use key::{VerifierKey, limbs_per_payout};
pub use progress::{Progress, ProofStage};
pub use proof::{PageProof, PayoutProof, proof_words};
pub use prove::prove_payouts;
pub use statement::{ChannelDraw, PayoutStatement};
