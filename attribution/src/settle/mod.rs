//! What each is owed, in integers only.
//!
//! Amounts are whole gwei of OPEN in `u64`, signed ones `i64`; divisions round towards zero and what
//! they leave goes to the treasury. The path is [`Record`] (one paid call) to [`Ledger`] (the rows
//! of a batch, in which every account closes at zero) to payouts by [`EarnerIndex`].
#![deny(clippy::float_arithmetic, clippy::cast_possible_truncation)]

mod account;
pub mod audit;
mod batch;
mod check;
pub mod codec;
mod confidence;
mod credits;
mod factors;
mod fee;
mod ids;
mod info;
mod info_cells;
mod ledger;
mod log2;
pub mod merkle;
mod mix;
mod payload;
mod pool;
mod reader;
mod record;
mod reputation;
mod row;
mod shares;
mod sheet;
mod slots;
mod statement;
mod tiling;
mod uses;
mod witness;

pub use account::{Account, Balance, ModelKey};
pub use batch::{BatchInputs, build};
pub use check::{check_balanced, payouts_of};
pub use codec::{CELL_BYTES, CELLS_PER_ROW, Cell, Cells};
pub use confidence::{MIN_CEILING, Measured};
pub use credits::{Credit, signed_credits};
pub use factors::{Factors, credit_share, factor};
pub use fee::{FULL_BPS, FeeShares, Price, Split, floor_bps};
pub use ids::{ChannelId, EarnerIndex, Hash, ModelId, keccak};
pub use info::{Info, Through};
pub use ledger::{BatchHeader, Carries, Draw, Ledger, MAX_ROWS, MIN_ROWS};
pub use log2::{LOG2_ONE, log2};
pub use mix::{Mix, Pools};
pub use payload::{MAX_SYMBOLS, SYMBOL_BYTES, payload_header};
pub(crate) use pool::share_pool;
pub use record::{Call, Record, Terms};
pub use reputation::{Conduct, MIN_REPUTATION};
pub use row::Row;
pub use shares::{MAX_OWNERS, ModelOwner, Payees, Share, ShareKind};
pub use slots::{MIN_SLOT_CELLS, Slot, SlotLayout};
pub use statement::Statement;
pub use uses::{
    Citation, Ground, MAX_SPAN_COUNT, MAX_SPAN_END, MIN_SPAN_TOKENS, Section, SpanUse, Use,
    UseCredit, UseKind, Uses,
};
pub use witness::{MAX_SKETCH, Witness};
