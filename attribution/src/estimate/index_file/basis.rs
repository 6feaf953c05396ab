//! Reads a projector's basis.

use std::io::Read;

use super::stream::Input;
use crate::{
    Error, Result,
    estimate::projector::{Basis, Directions, ProjectorConfig, SiteShape},
};

/// Memory is bounded by the bytes that are left.
pub(super) fn read<R: Read>(
    input: &mut Input<'_, R>,
    shapes: &[SiteShape],
    config: &ProjectorConfig,
) -> Result<Option<Basis>> {
    match input.array::<1>()? {
        [0] => return Ok(None),
        [1] => {}
        _ => return Err(Error::Corrupt("unknown form of basis")),
    }
    let sides = shapes.iter().flat_map(|s| [(s.d_out, s.rank), (s.d_in, s.rank)]);
    let tensors = sides.map(|(side, rank)| read_tensor(input, side.min(config.side), rank));
    Ok(Some(Basis { tensors: tensors.collect::<Result<_>>()? }))
}

fn read_tensor<R: Read>(input: &mut Input<'_, R>, side: usize, rank: usize) -> Result<Directions> {
    let [ranks, sides] = [input.u16()?, input.u16()?].map(u64::from);
    let buckets = input.u16()?;
    // Counts are below 2^16, widths below 2^32.
    let directions = Directions {
        rank: input.floats(ranks * rank as u64)?,
        side: input.floats(sides * side as u64)?,
        kept: vec![],
        buckets,
    };
    let kept = (0..ranks).map(|_| {
        let count = input.u16()?;
        (0..count).map(|_| input.u16()).collect()
    });
    Ok(Directions { kept: kept.collect::<Result<_>>()?, ..directions })
}
