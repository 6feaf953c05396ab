use super::{Account, EarnerIndex, Info};

/// One row of a ledger: posts `value` to `account` and pays `amount` to `earner`. Its cells are
/// laid out as in [`codec`](super::codec).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Who is paid; [`EarnerIndex::NOBODY`] in rows of a kind that pays nothing.
    pub earner: EarnerIndex,
    /// Gwei paid.
    pub amount: u64,
    /// The account posted to.
    pub account: Account,
    /// Gwei posted, signed.
    pub value: i64,
    /// What the row is and what its checks need.
    pub info: Info,
}

impl Row {
    /// An empty row, which fills a ledger up to a power of two.
    pub const PADDING: Self = Self {
        earner: EarnerIndex::NOBODY,
        amount: 0,
        account: Account::None,
        value: 0,
        info: Info::Padding,
    };

    /// A row that posts and pays nothing.
    #[must_use]
    pub const fn posting(account: Account, value: i64, info: Info) -> Self {
        Self { earner: EarnerIndex::NOBODY, amount: 0, account, value, info }
    }

    /// This row, paying `amount` to `earner`.
    #[must_use]
    pub const fn paying(mut self, earner: EarnerIndex, amount: u64) -> Self {
        self.earner = earner;
        self.amount = amount;
        self
    }
}
