//! The payer's side: a key with channels on the chain, and calls that are paid for with vouchers.

mod claims;
mod http;
mod paid;
mod payer;
mod reader;
mod session;
mod sse;

pub use claims::{ClaimsReport, claim_all, claim_of};
pub use http::{NodeClient, Refused};
pub use paid::{Bought, ChatCall, PaidClient, RetrievalAsk};
pub use payer::Payer;
pub use reader::Reply;
pub use session::{Held, Session};
