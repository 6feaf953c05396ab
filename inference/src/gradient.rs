//! Placeholder while the crate is being put together.
