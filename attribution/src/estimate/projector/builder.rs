//! Learns the projector of an index.

use super::{BasisBuilder, Last, Projector, ProjectorConfig, Sides, SiteGradient, SiteShape};
use crate::{Error, Result};

/// Learns the projector of an index from rows' gradients, one at a time: onto a [`super::Basis`] of
/// theirs, or, where sketches are not shorter than gradients, the one that copies them.
#[derive(Clone, Debug)]
pub struct ProjectorBuilder {
    sides: Sides,
    /// None where gradients are copied.
    basis: Option<BasisBuilder>,
}

impl ProjectorBuilder {
    /// For sketches of `config` of a model with sites of these shapes.
    ///
    /// # Errors
    /// Those of [`Projector::new`] and [`BasisBuilder::new`].
    pub fn new(shapes: &[SiteShape], config: ProjectorConfig) -> Result<Self> {
        let sides = Sides::new(shapes, config)?;
        let learned = || BasisBuilder::new(shapes, config);
        let basis = (sides.entries() > config.dim).then(learned).transpose()?;
        Ok(Self { sides, basis })
    }

    /// Whether rows teach it anything: none does where gradients are copied.
    #[must_use]
    pub const fn learns(&self) -> bool {
        self.basis.is_some()
    }

    /// Adds a row's gradient; one that is zero or not finite teaches nothing.
    ///
    /// # Errors
    /// [`Error::Shape`] if the sites are not the model's.
    pub fn push(&mut self, sites: &[SiteGradient<'_>]) -> Result<()> {
        let Some(basis) = &mut self.basis else { return Ok(()) };
        match basis.push(sites) {
            Err(Error::NotFinite(_)) => Ok(()),
            pushed => pushed,
        }
    }

    /// The projector.
    ///
    /// # Errors
    /// Those of [`BasisBuilder::finish`].
    pub fn finish(self) -> Result<Projector> {
        let Self { sides, basis } = self;
        match basis {
            Some(basis) => Projector::with_basis(sides.shapes(), *sides.config(), basis.finish()?),
            None => Ok(Projector { sides, last: Last::Whole }),
        }
    }
}
