//! What is asked, and of which batches.

use std::{fmt, str::FromStr};

use alloy::primitives::{Address, B256};

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A call of this node, by its voucher's digest.
    Call(B256),
    /// A model.
    Model(B256),
    /// A version of a Datanet.
    Datanet(B256, u32),
    /// A row by its hash.
    Row(B256),
    /// An account in all its roles.
    Account(Address),
    /// All models: who earned the most, and which models were used the most.
    All,
}

/// A place among batches: an operator and an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(pub Address, pub u64);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}-{}", self.0, self.1)
    }
}

impl FromStr for Cursor {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = || format!("{text:?} is no place among batches");
        let (operator, epoch) = text.split_once('-').ok_or_else(wrong)?;
        let (operator, epoch) = (operator.parse(), epoch.parse());
        Ok(Self(operator.map_err(|_| wrong())?, epoch.map_err(|_| wrong())?))
    }
}

/// Which batches are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Those after this one.
    pub after: Option<Cursor>,
    /// Those of one operator.
    pub operator: Option<Address>,
    /// Also those that are not final yet.
    pub has_open: bool,
}

impl Page {
    /// The first place that may be on it, by operator and epoch; `None` if there is none.
    pub(super) fn start(self) -> Option<(Address, u64)> {
        match self.after {
            Some(Cursor(operator, epoch)) => Some((operator, epoch.checked_add(1)?)),
            None => Some((self.operator.unwrap_or_default(), 0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back() {
        let cursor = Cursor(Address::repeat_byte(0xab), 12);
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        for wrong in ["", "12", "0x12-3", "0xabababababababababababababababababababab-x"] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }
}
