use libsais::{SuffixArrayConstruction, suffix_array::SuffixArrayWithText};

use crate::{Error, Result};

/// Positions of a shard's symbols in the order of their suffixes, those of row ends first.
///
/// `symbols` are token ids plus 1 with a 0 after each row, at most 2^30 of them, and no two zeros
/// side by side, which the library refuses. Ends of rows differ
/// from each other and are in order of position, so no comparison goes beyond a row.
pub(super) fn order(symbols: Symbols) -> Result<Vec<i32>> {
    match symbols {
        Symbols::Narrow(text) => {
            if text.is_empty() {
                return Ok(Vec::new());
            }
            // The library's generalised suffix array has this order.
            let array = SuffixArrayConstruction::for_text(&text)
                .in_owned_buffer32()
                .single_threaded()
                .generalized_suffix_array()
                .run();
            array.map(SuffixArrayWithText::into_vec).map_err(refused)
        }
        Symbols::Wide(mut text) => {
            if text.is_empty() {
                return Ok(Vec::new());
            }
            separate(&mut text);
            let array = SuffixArrayConstruction::for_text_mut(&mut text)
                .in_owned_buffer32()
                .single_threaded()
                .run();
            array.map(SuffixArrayWithText::into_vec).map_err(refused)
        }
    }
}

/// A shard's symbols.
#[derive(Debug)]
pub(super) enum Symbols {
    /// Of a vocabulary up to 65,535.
    Narrow(Vec<u16>),
    /// Of a larger one.
    Wide(Vec<i32>),
}

/// Gives each row's end a symbol of its own, below all tokens: the library has no generalised
/// suffix array of wide symbols.
fn separate(text: &mut [i32]) {
    let ends = text.iter().filter(|&&symbol| symbol == 0).count();
    let shift = i32::try_from(ends).expect("at most 2^30 positions") - 1;
    let mut end = 0;
    for symbol in text {
        if *symbol == 0 {
            *symbol = end;
            end += 1;
        } else {
            *symbol += shift;
        }
    }
}

fn refused(e: libsais::LibsaisError) -> Error {
    Error::setting("a suffix array must fit in memory", e)
}
