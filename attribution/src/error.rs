use alloc::string::{String, ToString};
use core::fmt::Display;

/// What this crate refuses, each naming the rule and the value given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An amount or sum is above what a ledger row can hold (`i64::MAX` gwei).
    #[error("{what} must be at most 2^63 - 1 gwei, got {value}")]
    Overflow {
        /// The amount's name.
        what: &'static str,
        /// Its value, saturated to 128 bits.
        value: u128,
    },
    /// The fee split does not share out exactly the whole fee.
    #[error("split must sum to 10000 bps, got {sum}")]
    SplitNotWhole {
        /// Sum of the four parts.
        sum: u32,
    },
    /// An index appears twice where it must be unique.
    #[error("an earner may appear once in {what}, got {earner} twice")]
    DuplicateEarner {
        /// Where.
        what: &'static str,
        /// The index.
        earner: u32,
    },
    /// Index 0 where somebody must be paid or charged.
    #[error("{what} must name an earner, got index 0")]
    NobodyEarns {
        /// What named nobody.
        what: &'static str,
    },
    /// The owners of a call's model cannot share its model share.
    #[error("a call must have at most {max} model owners of weight above 0, got {given}")]
    Owners {
        /// The most allowed.
        max: usize,
        /// What was given, in words.
        given: String,
    },
    /// An influence share or reputation above the whole.
    #[error("{what} must be at most 10000 bps, got {bps}")]
    Factor {
        /// Which of the two.
        what: &'static str,
        /// What was given.
        bps: u16,
    },
    /// A carry that is not negative.
    #[error("a carried net must be negative, got {net} for earner {earner}")]
    CarryNotNegative {
        /// The contributor.
        earner: u32,
        /// The net given.
        net: i64,
    },
    /// A record of a model whose contributors were not given.
    #[error(
        "a batch needs the contributors' weights of every model called, got none for 0x{}",
        hex(model)
    )]
    MissingWeights {
        /// The model.
        model: [u8; 32],
    },
    /// A stored record that its own inputs do not lead to.
    #[error(
        "a stored record must hold owners by index and only the scores of its credits, in their order, got {scores} scores for {credits} credits"
    )]
    RecordNotCanonical {
        /// Scores stored.
        scores: usize,
        /// Credits that they lead to.
        credits: usize,
    },
    /// A batch without a record.
    #[error("a batch must hold at least one record")]
    EmptyBatch,
    /// Two records of a batch answer the same voucher.
    #[error("a voucher pays one call of a batch, got 0x{} twice", hex(voucher))]
    DuplicateVoucher {
        /// Digest of the voucher.
        voucher: [u8; 32],
    },
    /// The records that a ledger's rows hold of a channel leave a gap or overlap.
    #[error(
        "rows of a channel must tile its interval: expected a record from {expected}, got {given} in row {row}"
    )]
    RowsNotTiled {
        /// The row that does not follow.
        row: usize,
        /// Where the next record must start, cumulative gwei.
        expected: u64,
        /// Where it starts.
        given: u64,
    },
    /// The records of a channel leave a gap or overlap.
    #[error(
        "records of channel 0x{} must tile its interval: expected one from {expected}, got {given}",
        hex(channel)
    )]
    NotTiled {
        /// The channel.
        channel: [u8; 32],
        /// Where the next record must start, cumulative gwei.
        expected: u64,
        /// Where it starts.
        given: u64,
    },
    /// Two ids share the bytes that the ledger identifies them by.
    #[error("ids of a batch must differ in their leading bytes, got 0x{} twice", hex(id))]
    IdCollision {
        /// The id that came second.
        id: [u8; 32],
    },
    /// A batch with more rows than a blob holds.
    #[error("a batch must have at most {max} rows, got {rows}")]
    TooManyRows {
        /// Rows needed.
        rows: usize,
        /// The most allowed.
        max: usize,
    },
    /// Row count of a ledger.
    #[error("a ledger must have a power of two of rows from {min} to {max}, got {rows}")]
    RowCount {
        /// Rows given.
        rows: usize,
        /// The fewest allowed.
        min: usize,
        /// The most allowed.
        max: usize,
    },
    /// A cell that is not an account key.
    #[error("an account key must have a known kind and zeros elsewhere, got 0x{}", hex(key))]
    AccountKey {
        /// The cell.
        key: [u8; 31],
    },
    /// A cell whose integer is too large for its column.
    #[error("{column} must be below 2^{bits}, got 0x{}", hex(cell))]
    CellRange {
        /// The column's name.
        column: &'static str,
        /// Bits allowed.
        bits: u16,
        /// The cell.
        cell: [u8; 31],
    },
    /// A row kind byte that is not known.
    #[error("a row kind must be from 0 to 13, got {kind}")]
    RowKind {
        /// The byte.
        kind: u8,
    },
    /// Information cells with bytes that their kind leaves at zero.
    #[error(
        "unused bytes of a row of kind {kind} must be zero, got 0x{} in cell {cell}",
        hex(bytes)
    )]
    UnusedBytes {
        /// Kind of the row.
        kind: u8,
        /// Cell number, 4 to 7.
        cell: usize,
        /// The cell.
        bytes: [u8; 31],
    },
    /// A byte of an information cell outside its values.
    #[error("{field} must be at most {max}, got {given}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// The largest value.
        max: u64,
        /// The value given.
        given: u64,
    },
    /// A row whose cells contradict its kind, or which is not where the grammar has it.
    #[error("row {row} breaks the ledger's grammar: {rule}")]
    Grammar {
        /// Row number.
        row: usize,
        /// The rule.
        rule: &'static str,
    },
    /// An account of a ledger that does not close at zero.
    #[error("account 0x{} must close at zero, got {sum}", hex(key))]
    Unbalanced {
        /// The account's key.
        key: [u8; 31],
        /// What is left on it, gwei.
        sum: i128,
    },
    /// Amounts paid and fees drawn differ.
    #[error("a batch must pay what it draws, {drawn} gwei, got {paid}")]
    TotalMismatch {
        /// Sum of the draws.
        drawn: u128,
        /// Sum of the amounts.
        paid: u128,
    },
    /// Bytes that are too few or too many for a record's witness.
    #[error("a witness must have {min} to {max} bytes, got {given}")]
    WitnessLength {
        /// The fewest.
        min: usize,
        /// The most.
        max: usize,
        /// Bytes given.
        given: usize,
    },
    /// Symbols and slot cells that no witness blobs have.
    #[error(
        "witness blobs must have a power of two of symbols up to 2^19 and slots of a power of two of cells from 8 to half of them, got {symbols} and {cells}"
    )]
    SlotLayout {
        /// Symbols of a blob.
        symbols: usize,
        /// Cells of a slot.
        cells: usize,
    },
    /// A leaf number outside the tree.
    #[error("a leaf number must be below {leaves}, got {index}")]
    NoSuchLeaf {
        /// The number given.
        index: usize,
        /// Leaves in the tree.
        leaves: usize,
    },
    /// A setting of the estimate or a row given to it breaks its rule.
    #[error("{rule}, given {given}")]
    Setting {
        /// The rule.
        rule: &'static str,
        /// The value that broke it.
        given: String,
    },
    /// Two things that must agree in shape do not.
    #[error("{what} must be {expected}, given {given}")]
    Shape {
        /// What was measured.
        what: &'static str,
        /// The shape it must have.
        expected: String,
        /// The shape it has.
        given: String,
    },
    /// A float input holds NaN or infinity.
    #[error("{0} must hold finite numbers only")]
    NotFinite(&'static str),
    /// Every row's gradient is zero, so there is nothing to whiten with.
    #[error("at least one row must have a gradient that is not zero")]
    NoSignal,
    /// The eigendecomposition did not converge.
    #[error("eigendecomposition of a {0} x {0} matrix did not converge")]
    Eigen(usize),
    /// An index file breaks a rule of its format.
    #[error("index file is corrupt: {0}")]
    Corrupt(&'static str),
    /// An index file of another format version.
    #[error("index file must have version 1, got {0}")]
    Version(u16),
    /// A training log breaks a rule.
    #[error("training log is refused: {0}")]
    TrainingLog(&'static str),
    /// A file of a span index is not the one that its header names.
    #[error("span index {part} must have keccak256 0x{}, got 0x{}", hex(expected), hex(given))]
    PartHash {
        /// The file.
        part: String,
        /// Its hash by the header.
        expected: [u8; 32],
        /// The hash that it has.
        given: [u8; 32],
    },
    /// Uses of rows that a record cannot have.
    #[error("uses of rows are refused: {0}")]
    Uses(&'static str),
    /// A proof about a span index does not show what it claims.
    #[error("a span proof is refused: {0}")]
    SpanProof(&'static str),
    /// Reading or writing an index file failed.
    #[error("file {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// A file whose bytes are not those that were written.
    #[error("{path} must have keccak256 0x{}, got 0x{}", hex(expected), hex(found))]
    Damaged {
        /// The file.
        path: String,
        /// The hash written down for it.
        expected: [u8; 32],
        /// The hash of its bytes.
        found: [u8; 32],
    },
    /// The index of words failed.
    #[error("index of words: {0}")]
    Lexical(String),
}

impl Error {
    pub(crate) fn setting(rule: &'static str, given: impl Display) -> Self {
        Self::Setting { rule, given: given.to_string() }
    }

    pub(crate) fn shape(what: &'static str, expected: impl Display, given: impl Display) -> Self {
        Self::Shape { what, expected: expected.to_string(), given: given.to_string() }
    }
}

/// Result of this crate's functions.
pub type Result<T> = core::result::Result<T, Error>;

fn hex(bytes: &[u8]) -> String {
    use core::fmt::Write;
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("writing to a string does not fail");
        out
    })
}
