//! Tests of the public interface.

mod estimate;
mod quality;
mod retrieval;
