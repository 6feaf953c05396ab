//! Tests of the public interface.

mod estimate;
mod spans;
