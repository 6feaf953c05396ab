//! Rotary frequencies as `transformers` computes them from `rope_scaling` or `rope_parameters`.

use std::{f64::consts::PI, sync::Arc};

use super::fields::Fields;
use crate::{Error, Result};

/// Fields that some kind below reads; any other one would change what is computed.
const KNOWN: [&str; 14] = [
    "rope_type",
    "type",
    "rope_theta",
    "partial_rotary_factor",
    "factor",
    "original_max_position_embeddings",
    "low_freq_factor",
    "high_freq_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "attention_factor",
    "truncate",
];

/// Where a model's rotary parameters stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct RopeSource<'a> {
    config: Fields<'a>,
    parameters: Option<Fields<'a>>,
    /// Field of `config` with the base, and the base if it is absent.
    theta: (&'static str, f64),
}

/// What the rotation needs to know.
#[derive(Clone, Debug)]
pub(super) struct Frequencies {
    /// Angle of each pair per position.
    pub(super) pairs: Arc<[f32]>,
    /// Factor of cosines and sines.
    pub(super) factor: f32,
}

const fn bad(message: String) -> Error {
    Error::Config(message)
}

impl<'a> RopeSource<'a> {
    /// `rope_scaling`, or `rope_parameters` as newer `transformers` write it, with `rope_theta` in
    /// it or beside it.
    ///
    /// # Errors
    /// [`Error::Config`] if both are there or one has a field that is not known.
    pub(super) fn new(config: Fields<'a>) -> Result<Self> {
        let (old, new) = (config.object("rope_scaling")?, config.object("rope_parameters")?);
        if old.is_some() && new.is_some() {
            return Err(bad("rope_scaling and rope_parameters are both given".into()));
        }
        Self::bare(config).with(old.or(new))
    }

    /// Without parameters: plain frequencies.
    pub(super) const fn bare(config: Fields<'a>) -> Self {
        Self { config, parameters: None, theta: ("rope_theta", 10_000.0) }
    }

    /// The same configuration with other parameters.
    pub(super) fn with(self, parameters: Option<Fields<'a>>) -> Result<Self> {
        let mut names = parameters.iter().flat_map(Fields::names);
        if let Some(name) = names.find(|name| !KNOWN.contains(name)) {
            return Err(bad(format!("{name} of rope parameters is not supported")));
        }
        Ok(Self { parameters, ..self })
    }

    /// The same with the base in another field of the configuration, or with another default.
    pub(super) const fn with_default_theta(self, field: &'static str, default: f64) -> Self {
        Self { theta: (field, default), ..self }
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        self.parameters.map_or(Ok(None), |parameters| parameters.optional_number(name))
    }

    fn required(&self, name: &str) -> Result<f64> {
        let value = self.number(name)?.filter(|value| value.is_finite() && *value > 0.0);
        value.ok_or_else(|| bad(format!("{name} of rope parameters is missing or not positive")))
    }

    /// How much of a head is rotated, if the configuration says.
    pub(super) fn partial_factor(&self) -> Result<Option<f64>> {
        let name = "partial_rotary_factor";
        Ok(self.number(name)?.or(self.config.optional_number(name)?))
    }

    /// Base of the frequencies.
    fn theta(&self) -> Result<f64> {
        let beside = self.config.number_or(self.theta.0, self.theta.1)?;
        let theta = self.number("rope_theta")?.unwrap_or(beside);
        if !(theta >= 1.0 && theta.is_finite()) {
            return Err(bad(format!("rope_theta {theta} is below 1")));
        }
        Ok(theta)
    }

    fn kind(&self) -> Result<&'a str> {
        let Some(parameters) = self.parameters else { return Ok("default") };
        Ok(parameters.text("rope_type")?.or(parameters.text("type")?).unwrap_or("default"))
    }

    /// Factor of attention's scores that DeepSeek adds to `yarn`: the square of
    /// `0.1 mscale_all_dim ln(factor) + 1`.
    pub(super) fn score_factor(&self) -> Result<f64> {
        let all = self.number("mscale_all_dim")?.unwrap_or(0.0);
        if self.kind()? == "default" || all == 0.0 {
            return Ok(1.0);
        }
        let scale = mscale(self.required("factor")?, all);
        Ok(scale * scale)
    }

    /// Frequencies of `dims / 2` pairs for a model trained up to `max_positions`.
    pub(super) fn frequencies(&self, dims: usize, max_positions: usize) -> Result<Frequencies> {
        if dims == 0 || !dims.is_multiple_of(2) {
            return Err(bad(format!("rotated width {dims} is not even")));
        }
        // Bounded before anything is allocated for it.
        super::check_size("rotated width", dims)?;
        let theta = self.theta()?;
        let powers: Vec<f32> =
            (0..dims / 2).map(|i| libm::pow(theta, 2.0 * i as f64 / dims as f64) as f32).collect();
        let plain = || powers.iter().map(|power| 1.0 / power);
        let (pairs, factor) = match self.kind()? {
            // Dynamic scaling begins beyond the trained length, which is the longest served.
            "default" | "dynamic" => (plain().collect(), 1.0),
            "linear" => {
                let factor = self.required("factor")? as f32;
                (plain().map(|frequency| frequency / factor).collect(), 1.0)
            }
            "llama3" => (self.llama3(plain().collect(), max_positions)?, 1.0),
            "yarn" => self.yarn(&powers, theta, max_positions)?,
            other => return Err(bad(format!("rope_type {other:?} is not supported"))),
        };
        let whole = |value: &f32| value.is_finite();
        if !pairs.iter().all(whole) || !whole(&factor) {
            return Err(bad("rope parameters give frequencies that are not finite".into()));
        }
        Ok(Frequencies { pairs: pairs.into(), factor })
    }

    fn original_positions(&self, max_positions: usize) -> Result<f64> {
        let name = "original_max_position_embeddings";
        if self.number(name)?.is_none() { Ok(max_positions as f64) } else { self.required(name) }
    }

    /// Long waves are stretched by `factor`, short ones kept, those between mixed.
    fn llama3(&self, plain: Vec<f32>, max_positions: usize) -> Result<Vec<f32>> {
        let factor = self.required("factor")? as f32;
        let low = self.required("low_freq_factor")?;
        let high = self.required("high_freq_factor")?;
        let length = self.original_positions(max_positions)?;
        let scaled = |frequency: f32| {
            let wave = 2.0 * PI / f64::from(frequency);
            if wave < length / high {
                frequency
            } else if wave > length / low {
                frequency / factor
            } else {
                let smooth = ((length / wave - low) / (high - low)) as f32;
                (1.0 - smooth) * frequency / factor + smooth * frequency
            }
        };
        Ok(plain.into_iter().map(scaled).collect())
    }

    /// YaRN (Peng et al. 2023): a ramp over the pairs between kept and stretched.
    fn yarn(&self, powers: &[f32], theta: f64, max: usize) -> Result<(Vec<f32>, f32)> {
        let original = self.original_positions(max)?;
        let factor = match self.number("factor")? {
            None => max as f64 / original,
            Some(_) => self.required("factor")?,
        };
        let dims = 2.0 * powers.len() as f64;
        let border = |name: &str, default: f64| -> Result<f64> {
            let turns = self.number(name)?.filter(|turns| *turns != 0.0).unwrap_or(default);
            Ok(dims * libm::log(original / (turns * 2.0 * PI)) / (2.0 * libm::log(theta)))
        };
        let (mut low, mut high) = (border("beta_fast", 32.0)?, border("beta_slow", 1.0)?);
        if self.parameters.map_or(Ok(true), |fields| fields.flag_or("truncate", true))? {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, high) = (low.max(0.0), high.min(dims - 1.0));
        let span = if low == high { 0.001 } else { high - low };
        let mixed = |(i, power): (usize, &f32)| {
            let stretched = (((i as f64 - low) / span) as f32).clamp(0.0, 1.0);
            let kept = 1.0 - stretched;
            1.0 / (factor as f32 * power) * (1.0 - kept) + 1.0 / power * kept
        };
        let pairs = powers.iter().enumerate().map(mixed).collect();
        Ok((pairs, self.yarn_factor(factor)? as f32))
    }

    fn yarn_factor(&self, factor: f64) -> Result<f64> {
        if let Some(given) = self.number("attention_factor")? {
            return Ok(given);
        }
        let given = |name| Ok::<_, Error>(self.number(name)?.filter(|scale| *scale != 0.0));
        Ok(match (given("mscale")?, given("mscale_all_dim")?) {
            (Some(scale), Some(all)) => mscale(factor, scale) / mscale(factor, all),
            _ => mscale(factor, 1.0),
        })
    }
}

fn mscale(factor: f64, scale: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * scale * libm::log(factor) + 1.0 }
}
