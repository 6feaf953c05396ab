//! Who earned from what: accounts, models, Datanet versions, rows and calls, joined by what the
//! ledgers of batches pay.
//!
//! Nothing is kept beside the ledgers, so the graph cannot say anything else than they do. Weights
//! are gwei:
//!
//! - of a call, its rows in the ledger: fixed shares, signed credits as they were posted, and what of
//!   its pools no credit takes. They sum to the fee.
//! - of a model, the fixed shares of its calls, what its contributors are paid by their nets
//!   (`influence`) and by accepted rows (`flat`), and what its pool leaves to the treasury (`rest`).
//!   They sum to the fees of its calls, and those of all models to the batch's payouts.
//! - of an account, what all models pay it: the earnings that the chain committed to.
//! - of a row and of a Datanet version, parts of what their contributors are paid ([`split`]). All
//!   rows of a contributor sum to what it is paid.
//!
//! [`split`]: self::split

mod answer;
mod book;
mod call;
mod leaders;
mod ledgers;
mod nodes;
mod query;
mod question;
mod sheet;
mod split;
mod tally;

pub use answer::{Earned, Edge, GraphAnswer, GraphBatch, LeftOut, Node};
pub use book::{Book, BookCredit, BookPayout, BookPool, BookRecord};
pub use leaders::{Board, Leader, LeadersAnswer, Places, VersionEarned};
pub use ledgers::{Ledgers, OpenBatch};
pub use query::Graph;
pub use question::{Cursor, Page, Subject};
pub use split::{RowPay, apportion, span_row, split};
