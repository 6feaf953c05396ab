//! The API over HTTP, with a real model and real vouchers.

mod calls;
mod earning;
mod faults;
mod reads;
mod refusals;
mod world;
