//! Tests of the public interface.

mod estimate;
