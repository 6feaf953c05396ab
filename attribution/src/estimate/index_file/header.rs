//! The part of the file that says what the rest is.

use std::io::Read;

use super::{MAGIC, VERSION, basis, stream::Input};
use crate::{
    Error, Result,
    estimate::{
        index::{InfluenceIndex, Parts, Row, RowSource},
        projector::{Basis, DIM_RANGE, Projector, ProjectorConfig, SiteShape},
        whitening::{Form, Whitening},
    },
    settle::{EarnerIndex, Hash},
};

const ROW_BYTES: u64 = 53;
const MAX_SITES: u32 = 4096;

/// Everything before the arrays.
pub(super) struct Header {
    config: ProjectorConfig,
    shapes: Vec<SiteShape>,
    basis: Option<Basis>,
    damping: f64,
    trace: f64,
    lambda: f64,
    scale: f32,
    pub(super) rows: u32,
    root: Hash,
    blocks: Vec<Block>,
}

/// One block of the whitening.
struct Block {
    width: u64,
    is_factored: bool,
    directions: u64,
}

impl Header {
    pub(super) fn read<R: Read>(input: &mut Input<'_, R>) -> Result<Self> {
        if input.array::<8>()? != MAGIC {
            return Err(Error::Corrupt("magic differs"));
        }
        match u16::from_be_bytes(input.array()?) {
            VERSION => {}
            version => return Err(Error::Version(version)),
        }
        let config = ProjectorConfig {
            seed: input.array()?,
            dim: input.u32()? as usize,
            side: input.u32()? as usize,
        };
        let sites = input.u32()?;
        if sites > MAX_SITES || !DIM_RANGE.contains(&config.dim) {
            return Err(Error::Corrupt("sites or dimension out of range"));
        }
        let shapes = (0..sites).map(|_| read_shape(input)).collect::<Result<Vec<_>>>()?;
        let header = Self {
            basis: basis::read(input, &shapes, &config)?,
            config,
            shapes,
            damping: f64::from_be_bytes(input.array()?),
            trace: f64::from_be_bytes(input.array()?),
            lambda: f64::from_be_bytes(input.array()?),
            scale: f32::from_be_bytes(input.array()?),
            rows: input.u32()?,
            root: input.array()?,
            blocks: read_blocks(input)?,
        };
        header.check(input.left)?;
        Ok(header)
    }

    pub(super) const fn dim(&self) -> u64 {
        self.config.dim as u64
    }

    /// Numbers are in range and the arrays fill exactly the bytes that are left.
    fn check(&self, left: u64) -> Result<()> {
        let positive = [self.damping, self.trace, self.lambda, f64::from(self.scale)];
        if !positive.iter().all(|x| x.is_finite() && *x > 0.0) {
            return Err(Error::Corrupt("damping, trace, lambda or scale is not positive"));
        }
        let widths = self.blocks.iter().map(|block| block.width);
        if self.blocks.iter().any(|block| block.width > self.dim())
            || widths.sum::<u64>() != self.dim()
        {
            return Err(Error::Corrupt("whitening's blocks are not as wide as a sketch"));
        }
        let is_too_many =
            |b: &Block| b.directions > b.width || (!b.is_factored && b.directions != 0);
        if self.blocks.iter().any(is_too_many) {
            return Err(Error::Corrupt("whitening has too many directions"));
        }
        let floats: u64 = self.blocks.iter().map(Block::floats).sum();
        // All factors are below 2^32 and their products below 2^48.
        let arrays = 4 * floats + u64::from(self.rows) * (ROW_BYTES + self.dim());
        if arrays == left { Ok(()) } else { Err(Error::Corrupt("length differs from the header")) }
    }

    /// The whitening's arrays.
    pub(super) fn read_whitening<R: Read>(&self, input: &mut Input<'_, R>) -> Result<Vec<Form>> {
        self.blocks.iter().map(|block| block.read(input)).collect()
    }

    /// Checks everything read against the rules of an index.
    pub(super) fn index(
        self,
        forms: Vec<Form>,
        rows: Vec<Row>,
        sketches: Vec<u8>,
    ) -> Result<InfluenceIndex> {
        let sketches: Vec<i8> = sketches.into_iter().map(u8::cast_signed).collect();
        if sketches.contains(&i8::MIN) {
            return Err(Error::Corrupt("a sketch holds -128"));
        }
        let projector = match self.basis {
            Some(basis) => Projector::with_basis(&self.shapes, self.config, basis),
            None => Projector::new(&self.shapes, self.config),
        };
        let projector = projector
            .map_err(|_| Error::Corrupt("projector out of range or directions not orthonormal"))?;
        let widths = self.blocks.iter().map(|block| block.width as usize);
        let whitening = Whitening::new(self.lambda, widths.zip(forms).collect());
        let index = InfluenceIndex::new(Parts {
            projector,
            whitening,
            damping: self.damping,
            trace: self.trace,
            scale: self.scale,
            rows,
            sketches,
        })
        .map_err(|_| Error::Corrupt("rows, earners or clusters out of range or order"))?;
        if index.root() == self.root { Ok(index) } else { Err(Error::Corrupt("root differs")) }
    }
}

impl Block {
    /// Numbers of its arrays.
    const fn floats(&self) -> u64 {
        if self.is_factored {
            1 + self.directions + self.directions * self.width
        } else {
            self.width * self.width
        }
    }

    fn read<R: Read>(&self, input: &mut Input<'_, R>) -> Result<Form> {
        if !self.is_factored {
            return Ok(Form::Dense(input.floats(self.width * self.width)?));
        }
        Ok(Form::Factored {
            identity: input.floats(1)?[0],
            gains: input.floats(self.directions)?,
            directions: input.floats(self.directions * self.width)?,
        })
    }
}

fn read_blocks<R: Read>(input: &mut Input<'_, R>) -> Result<Vec<Block>> {
    let count = input.u16()?;
    let block = |_| {
        let width = input.u32()?.into();
        let is_factored = match input.array::<1>()? {
            [0] => false,
            [1] => true,
            _ => return Err(Error::Corrupt("unknown whitening form")),
        };
        Ok(Block { width, is_factored, directions: input.u32()?.into() })
    };
    (0..count).map(block).collect()
}

fn read_shape<R: Read>(input: &mut Input<'_, R>) -> Result<SiteShape> {
    Ok(SiteShape {
        rank: input.u32()? as usize,
        d_in: input.u32()? as usize,
        d_out: input.u32()? as usize,
    })
}

pub(super) fn read_row<R: Read>(input: &mut Input<'_, R>) -> Result<Row> {
    let source = RowSource {
        datanet: input.array::<1>()?[0],
        index: u64::from_be_bytes(input.array()?),
        hash: input.array()?,
        earner: EarnerIndex(input.u32()?),
        cluster: input.u32()?,
    };
    Ok(Row { source, self_influence: input.float()? })
}
