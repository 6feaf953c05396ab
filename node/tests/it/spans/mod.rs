//! Spans of answers, from the rows of a Datanet to the pay of whoever holds them, with a real model.

mod audit;
mod paid;
mod refused;
mod world;
