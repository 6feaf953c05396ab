use std::path::PathBuf;

/// What this crate refuses, each naming the rule and the value given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setup whose secret is known, on a chain with real money.
    #[error("a setup with a known secret must not be used on chain {chain_id}")]
    KnownSecret {
        /// The chain asked for.
        chain_id: u64,
    },
    /// More powers asked for than can be used or than there are.
    #[error("a setup must have from 2 to {max} powers, got {given}")]
    SetupSize {
        /// Powers asked for.
        given: usize,
        /// The most allowed here.
        max: usize,
    },
    /// A file that could not be read or written.
    #[error("setup file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A setup file with other content than it must have.
    #[error("setup file {} must {rule}", path.display())]
    SetupFile {
        /// The file.
        path: PathBuf,
        /// The rule broken.
        rule: &'static str,
    },
    /// A polynomial with more coefficients than the setup has powers.
    #[error("a polynomial must have at most {max} coefficients, got {given}")]
    TooManyCoefficients {
        /// Coefficients given.
        given: usize,
        /// Powers in the setup.
        max: usize,
    },
    /// A domain that is not a power of two that the field has.
    #[error("a domain must be a power of two up to 2^28, got {given}")]
    DomainSize {
        /// Size given.
        given: usize,
    },
    /// A page size that no setup can commit to.
    #[error("a page must hold a power of two of earners up to {max}, got {given}")]
    PageSize {
        /// Size given.
        given: u32,
        /// The most allowed.
        max: usize,
    },
    /// An index outside its domain.
    #[error("an index must be below {size}, got {index}")]
    OutsideDomain {
        /// The index.
        index: usize,
        /// Size of the domain.
        size: usize,
    },
    /// An earner that is not of the page.
    #[error("page {page} of {size} earners must hold the earner, got {earner}")]
    OtherPage {
        /// The page.
        page: u32,
        /// Earners of a page.
        size: u32,
        /// The earner given.
        earner: u32,
    },
    /// A blob of the wrong length.
    #[error(
        "a ledger blob must be a power of two of 256-byte rows from 8 to 65536, got {given} bytes"
    )]
    BlobLength {
        /// Bytes given.
        given: usize,
    },
    /// A witness blob of the wrong length.
    #[error(
        "a witness blob must be a power of two of 32-byte symbols from 16 to 2^19, got {given} bytes"
    )]
    WitnessLength {
        /// Bytes given.
        given: usize,
    },
    /// Cells to open that are out of order.
    #[error("cells to open must be at least one and in strictly increasing order")]
    CellIndices,
    /// A slot size that a blob does not have.
    #[error(
        "a slot must have a power of two of cells from 8 to half of {symbols} symbols, got {cells}"
    )]
    SlotCells {
        /// Cells of a slot given.
        cells: u32,
        /// Symbols of the blob.
        symbols: usize,
    },
    /// A blob whose first symbol is not the header of its payload.
    #[error("a blob's first symbol must be its payload's header, version 0 and {length} bytes")]
    PayloadHeader {
        /// Payload bytes that a blob of its size holds.
        length: usize,
    },
    /// A symbol that does not begin with a zero byte.
    #[error("a symbol must begin with a zero byte, got {byte} in symbol {symbol}")]
    SymbolPrefix {
        /// Symbol number.
        symbol: usize,
        /// Its first byte.
        byte: u8,
    },
    /// A symbol that is no field element.
    #[error("a symbol must be below the order of the scalar field, symbol {symbol} is not")]
    SymbolRange {
        /// Symbol number.
        symbol: usize,
    },
    /// Coordinates that are not a point of the group.
    #[error("coordinates must be below the field's modulus and on the curve")]
    InvalidPoint,
    /// A scalar that is not reduced.
    #[error("a scalar must be below the order of the field")]
    InvalidScalar,
    /// A page size that the payout argument does not support.
    #[error(
        "pages of the payout argument must hold a power of two of earners from 16 to 65536, got {given}"
    )]
    ArgumentPageSize {
        /// Size given.
        given: u32,
    },
    /// Public inputs that no proof is accepted for.
    #[error("a payout statement must {rule}")]
    PayoutStatement {
        /// The rule broken.
        rule: &'static str,
    },
    /// Payouts that are not what the ledger says.
    #[error("payouts to be proven must {rule}")]
    FalsePayouts {
        /// The rule broken.
        rule: &'static str,
    },
    /// A proof of the wrong length.
    #[error("a proof must have {expected} words, got {given}")]
    ProofLength {
        /// Words given.
        given: usize,
        /// Words of a proof of its pages and limbs.
        expected: usize,
    },
    /// A challenge that makes a denominator zero; no honest prover will ever see one.
    #[error("a challenge makes a denominator of the payout argument zero")]
    Challenge,
    /// Rows that cannot be a ledger.
    #[error("row {row}: {source}")]
    Row {
        /// Row number.
        row: usize,
        /// What is wrong with it.
        source: attribution::Error,
    },
    /// Rows that do not add up to a ledger.
    #[error(transparent)]
    Ledger(#[from] attribution::Error),
}

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;
