//! Tests of the public interface.

mod estimate;
mod provenance;
mod spans;
