//! Tests of the public interface.

mod estimate;
mod provenance;
mod quality;
mod retrieval;
mod spans;
