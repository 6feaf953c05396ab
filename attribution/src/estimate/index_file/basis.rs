//! A projector's basis in the file.

use std::io::{Read, Write};

use super::{stream::Input, write_floats};
use crate::{
    Error, Result,
    estimate::projector::{Basis, Directions, ProjectorConfig, SiteShape},
};

pub(super) fn write(basis: Option<&Basis>, out: &mut impl Write) -> std::io::Result<()> {
    let Some(basis) = basis else { return out.write_all(&[0]) };
    out.write_all(&[1])?;
    let count = |n: usize| u16::try_from(n).expect("directions are at most 8192").to_be_bytes();
    for tensor in &basis.tensors {
        out.write_all(&count(tensor.kept.len()))?;
        out.write_all(&count(tensor.sides()))?;
        write_floats(out, &tensor.rank)?;
        write_floats(out, &tensor.side)?;
        for kept in &tensor.kept {
            out.write_all(&count(kept.len()))?;
            kept.iter().try_for_each(|at| out.write_all(&at.to_be_bytes()))?;
        }
    }
    Ok(())
}

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
    // Counts are below 2^16, widths below 2^32.
    let directions = Directions {
        rank: input.floats(ranks * rank as u64)?,
        side: input.floats(sides * side as u64)?,
        kept: vec![],
    };
    let kept = (0..ranks).map(|_| {
        let count = input.u16()?;
        (0..count).map(|_| input.u16()).collect()
    });
    Ok(Directions { kept: kept.collect::<Result<_>>()?, ..directions })
}
