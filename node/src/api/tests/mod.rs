//! The API over HTTP, with a real model and real vouchers.

mod calls;
mod faults;
mod reads;
mod refusals;
mod world;
