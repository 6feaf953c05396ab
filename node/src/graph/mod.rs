//! Who earned from what: accounts, models, Datanet versions, rows and calls, joined by what the
//! ledgers of batches pay.

mod book;

pub use book::{Book, BookCredit, BookPayout, BookPool, BookRecord};
