//! Compiles a kernel for several vector widths and picks one at run time.

use std::sync::OnceLock;

/// A vector width that kernels are compiled for. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every processor of the target has.
    Baseline,
    /// 256-bit vectors.
    Avx2,
    /// 512-bit vectors.
    Avx512,
}

/// Environment variable that names the widest level to use: `baseline`, `avx2` or `avx512`. It is
/// read once. Any other value leaves the processor's.
const CAP: &str = "OPENLEDGER_VECTORS";

impl Level {
    /// The widest level that this processor has and the environment variable `OPENLEDGER_VECTORS`
    /// (`baseline`, `avx2` or `avx512`) allows: so that anyone can see that it makes no difference
    /// to the bits, and what it makes to the time.
    pub fn detect() -> Self {
        static LEVEL: OnceLock<Level> = OnceLock::new();
        *LEVEL.get_or_init(|| Self::probe().min(Self::cap()))
    }

    fn cap() -> Self {
        match std::env::var(CAP).as_deref() {
            Ok("baseline") => Self::Baseline,
            Ok("avx2") => Self::Avx2,
            _ => Self::Avx512,
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn probe() -> Self {
        if is_x86_feature_detected!("avx512f") {
            Self::Avx512
        } else if is_x86_feature_detected!("avx2") {
            Self::Avx2
        } else {
            Self::Baseline
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    const fn probe() -> Self {
        Self::Baseline
    }
}

/// A loop that is compiled once per [`Level`]. `run` and all that it calls must be
/// `#[inline(always)]`, or they would be compiled for the baseline.
pub(crate) trait Kernel {
    /// Runs the loop with `ROWS` rows per register tile.
    fn run<const ROWS: usize>(self);
}

/// Runs `kernel` at the widest level of this processor.
pub(crate) fn dispatch(kernel: impl Kernel) {
    dispatch_at(Level::detect(), kernel);
}

/// Runs `kernel` at `level`, or at the widest level that the processor has if that is lower.
pub(crate) fn dispatch_at(level: Level, kernel: impl Kernel) {
    match level.min(Level::detect()) {
        Level::Baseline => kernel.run::<2>(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `min` with the detected level guarantees that the processor has AVX2.
        Level::Avx2 => unsafe { run_avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `min` with the detected level guarantees that the processor has AVX-512F.
        Level::Avx512 => unsafe { run_avx512(kernel) },
        #[cfg(not(target_arch = "x86_64"))]
        _ => kernel.run::<2>(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2(kernel: impl Kernel) {
    kernel.run::<4>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn run_avx512(kernel: impl Kernel) {
    kernel.run::<8>();
}

/// Checks that `run` writes the same bits at every level, into an output of `count` values.
#[cfg(test)]
pub(crate) fn at_every_level(count: usize, run: impl Fn(Level, &mut [f32])) {
    let outputs = [Level::Baseline, Level::Avx2, Level::Avx512].map(|level| {
        let mut out = vec![0.0; count];
        run(level, &mut out);
        out
    });
    assert!(outputs[0].iter().any(|value| *value != 0.0));
    let bits = |out: &Vec<f32>| out.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&outputs[0]), bits(&outputs[1]));
    assert_eq!(bits(&outputs[0]), bits(&outputs[2]));
}
