//! Chain types inside borsh rows: their ABI encoding as a byte string.

use std::io::{Error, ErrorKind, Read, Result, Write};

use alloy::sol_types::{SolType, SolValue};
use borsh::{BorshDeserialize, BorshSerialize};

/// Writes any chain type (hash, address, integer, struct) as a byte string.
///
/// # Errors
/// If `writer` fails.
pub fn write_sol<T: SolValue, W: Write>(value: &T, writer: &mut W) -> Result<()> {
    BorshSerialize::serialize(&value.abi_encode(), writer)
}

/// Reads what [`write_sol`] wrote.
///
/// # Errors
/// If `reader` fails or the bytes are not a `T`.
pub fn read_sol<T, R: Read>(reader: &mut R) -> Result<T>
where
    T: SolValue + From<<T::SolType as SolType>::RustType>,
{
    let bytes: Vec<u8> = BorshDeserialize::deserialize_reader(reader)?;
    T::abi_decode(&bytes).map_err(|e| Error::new(ErrorKind::InvalidData, e.to_string()))
}
