//! Learning rate over a run.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Linear warm-up, then a half cosine down to a fraction of the peak.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Highest learning rate.
    pub peak: f64,
    /// Steps of warm-up; fewer than `steps`.
    pub warmup: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Rate of the last step as a fraction of the peak.
    pub floor: f64,
}

impl Schedule {
    /// Checks the bounds stated on the fields.
    ///
    /// # Errors
    /// [`Error::Training`].
    pub fn validate(&self) -> Result<()> {
        let peak = self.peak > 0.0 && self.peak < 1.0;
        if !peak || self.warmup >= self.steps || !(0.0..=1.0).contains(&self.floor) {
            return Err(Error::Training(format!("schedule {self:?} is out of bounds")));
        }
        Ok(())
    }

    /// Learning rate of step `step`, from 0.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        let span = (self.steps - self.warmup).max(2) - 1;
        let done = ((step - self.warmup) as f64 / span as f64).min(1.0);
        let cosine = 0.5 * (1.0 + libm::cos(std::f64::consts::PI * done));
        self.peak * (self.floor + (1.0 - self.floor) * cosine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_rises_to_the_peak_and_falls_to_the_floor() {
        let schedule = Schedule { peak: 1e-3, warmup: 10, steps: 110, floor: 0.1 };
        assert!((schedule.rate(0) - 1e-4).abs() < 1e-12);
        assert!((schedule.rate(9) - 1e-3).abs() < 1e-12);
        assert!((schedule.rate(10) - 1e-3).abs() < 1e-12);
        assert!((schedule.rate(109) - 1e-4).abs() < 1e-12);
        assert!((10..109).all(|step| schedule.rate(step + 1) < schedule.rate(step)));
    }

    #[test]
    fn bad_schedules_are_errors() {
        let good = Schedule { peak: 1e-3, warmup: 0, steps: 1, floor: 0.0 };
        good.validate().unwrap();
        assert!(Schedule { peak: f64::NAN, ..good }.validate().is_err());
        assert!(Schedule { warmup: 1, ..good }.validate().is_err());
        assert!(Schedule { floor: 1.5, ..good }.validate().is_err());
    }
}
