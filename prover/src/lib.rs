//! Commitments to batches and earnings, and openings of them.
//!
//! KZG over BN254 with EigenDA's conventions, so that a batch's blob and its commitment are the
//! same thing to data availability and to Settlement. A ledger of `n` rows is a polynomial of
//! degree below `8n` with symbol `i` at `w^i` ([`commit_ledger`]); a page of earnings takes what
//! earner `page * M + k` gets at `v^k` ([`commit_payouts`], [`EarningsPage`]). `w` and `v` are
//! arkworks' roots of unity of order `8n` and `M`. [`argument`] proves that payouts are what a
//! ledger says; `SPEC.md` is its specification.

// Examples and unit tests share a module, which names this crate.
#[cfg(test)]
extern crate self as prover;

pub mod argument;
mod blob;
mod committed;
mod earnings;
mod error;
pub mod evm;
mod group;
mod kzg;
mod ledger;
mod msm;
mod openings;
mod page_openings;
mod polynomial;
mod srs;

pub use ark_bn254::{Fr, G1Affine, G2Affine};
pub use blob::{blob_from_rows, blob_payload, rows_from_blob};
pub use committed::{BlobCommitment, WitnessCommitment};
pub use earnings::{DEFAULT_PAGE_SIZE, EarningsPage, PageId, commit_payouts, page_of};
pub use error::{Error, Result};
pub use kzg::{Claim, Opening, verify, verify_many};
pub use ledger::{LedgerCommitment, commit_ledger, ledger_from_blob};
pub use openings::{
    BlobClaim, CellOpening, MIN_SLOT_CELLS, Opened, SlotOpening, verify_cells, verify_openings,
    verify_slot,
};
pub use page_openings::OpeningProgress;
pub use polynomial::{Polynomial, root_of_unity};
pub use srs::{EIGENDA_TAU_G2, Srs};
