//! Commitments to batches and earnings, and openings of them.
