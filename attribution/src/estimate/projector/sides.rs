//! The long sides of all gradients, cut to `k`.

use super::{
    DIM_RANGE, ProjectorConfig, SiteGradient, SiteShape,
    basis::Order,
    maps::{SPARSITY, Side, stream},
};
use crate::{Error, Result};

const MAX_SITES: usize = 4096;
const MAX_RANK: usize = 1024;
const MAX_SIDE: usize = 1 << 20;
const MAX_ENTRIES: usize = 1 << 26;

/// `P_out` and `P_in` of every site.
#[derive(Clone, Debug)]
pub(super) struct Sides {
    config: ProjectorConfig,
    shapes: Vec<SiteShape>,
    /// By site, of `B` and of `A`.
    sites: Vec<[Side; 2]>,
}

impl Sides {
    pub(super) fn new(shapes: &[SiteShape], config: ProjectorConfig) -> Result<Self> {
        check(shapes, &config)?;
        let site = |(index, shape): (u64, &SiteShape)| {
            let side =
                |len, part| Side::new(len, config.side, stream(&config.seed, 4 * index + part));
            [side(shape.d_out, 0), side(shape.d_in, 1)]
        };
        let sites = (0..).zip(shapes).map(site).collect();
        let sides = Self { config, shapes: shapes.to_vec(), sites };
        if sides.entries() > MAX_ENTRIES {
            let rule = "kept gradient entries must be at most 2^26";
            return Err(Error::setting(rule, sides.entries()));
        }
        Ok(sides)
    }

    pub(super) const fn config(&self) -> &ProjectorConfig {
        &self.config
    }

    pub(super) fn shapes(&self) -> &[SiteShape] {
        &self.shapes
    }

    /// (kept side, rank) of `S_B`, then `S_A`, of each site.
    pub(super) fn tensors(&self) -> impl Iterator<Item = (usize, usize)> {
        let site = |(sides, shape): (&[Side; 2], &SiteShape)| {
            [(sides[0].kept, shape.rank), (sides[1].kept, shape.rank)]
        };
        self.sites.iter().zip(&self.shapes).flat_map(site)
    }

    /// Numbers of all tensors.
    pub(super) fn entries(&self) -> usize {
        self.tensors().map(|(side, rank)| side * rank).sum()
    }

    /// Calls `take` with each tensor's number and block: `S_B`, `(k_o, r)`, then `S_A`, `(r, k_i)`.
    pub(super) fn blocks(
        &self,
        sites: &[SiteGradient<'_>],
        mut take: impl FnMut(usize, Order, &[f64]),
    ) -> Result<()> {
        self.check(sites)?;
        (0..sites.len()).for_each(|site| self.blocks_of(site, &sites[site], &mut take));
        Ok(())
    }

    /// As [`Self::blocks`] of one site, whose gradient was checked.
    pub(super) fn blocks_of(
        &self,
        site: usize,
        gradient: &SiteGradient<'_>,
        mut take: impl FnMut(usize, Order, &[f64]),
    ) {
        let [out, inward] = &self.sites[site];
        let mut block = Vec::new();
        out.project_columns(gradient.b, gradient.rank, &mut block);
        take(2 * site, Order::SideFirst, &block);
        inward.project_rows(gradient.a, gradient.d_in, &mut block);
        take(2 * site + 1, Order::RankFirst, &block);
    }

    /// Whether these are gradients of the sites.
    pub(super) fn check(&self, sites: &[SiteGradient<'_>]) -> Result<()> {
        if sites.len() != self.sites.len() {
            return Err(Error::shape("gradient sites", self.sites.len(), sites.len()));
        }
        self.shapes.iter().zip(sites).try_for_each(|(shape, site)| check_gradient(shape, site))
    }
}

fn check(shapes: &[SiteShape], config: &ProjectorConfig) -> Result<()> {
    if !DIM_RANGE.contains(&config.dim) {
        return Err(Error::setting("sketch dimension must be in 16..=8192", config.dim));
    }
    if config.side == 0 || config.side > MAX_SIDE || !config.side.is_multiple_of(SPARSITY) {
        return Err(Error::setting("kept side must be a multiple of 8 up to 2^20", config.side));
    }
    if shapes.is_empty() || shapes.len() > MAX_SITES {
        return Err(Error::setting("sites must be 1 to 4096", shapes.len()));
    }
    for shape in shapes {
        let wide = |n: usize| n == 0 || n > MAX_SIDE;
        if shape.rank == 0 || shape.rank > MAX_RANK || wide(shape.d_in) || wide(shape.d_out) {
            let rule = "a site must have rank 1 to 1024 and widths 1 to 2^20";
            return Err(Error::setting(rule, format_args!("{shape:?}")));
        }
    }
    Ok(())
}

fn check_gradient(shape: &SiteShape, g: &SiteGradient<'_>) -> Result<()> {
    let given = SiteShape { rank: g.rank, d_in: g.d_in, d_out: g.d_out };
    if given != *shape {
        return Err(Error::shape("site", format_args!("{shape:?}"), format_args!("{given:?}")));
    }
    if g.a.len() != shape.rank * shape.d_in {
        return Err(Error::shape("gradient of A", shape.rank * shape.d_in, g.a.len()));
    }
    if g.b.len() != shape.d_out * shape.rank {
        return Err(Error::shape("gradient of B", shape.d_out * shape.rank, g.b.len()));
    }
    if g.a.iter().chain(g.b).all(|x| x.is_finite()) {
        Ok(())
    } else {
        Err(Error::NotFinite("gradient"))
    }
}
