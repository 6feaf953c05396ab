use borsh::{BorshDeserialize, BorshSerialize};

use crate::{Error, Result};

/// Basis points in a whole.
pub const FULL_BPS: u16 = 10_000;

/// Prices of a model version; rates are gwei per 1000 tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Price {
    /// `Rin`, gwei per 1000 prompt tokens.
    pub input_rate: u64,
    /// `Rout`, gwei per 1000 generated tokens.
    pub output_rate: u64,
    /// `Fplatform`, gwei per call.
    pub platform_fee: u64,
}

impl Price {
    /// `F = ceil(Tin Rin / 1000) + ceil(Tout Rout / 1000) + Fplatform`, gwei.
    ///
    /// # Errors
    /// [`Error::Overflow`] if the fee is above `i64::MAX`, the most that a ledger row can post.
    pub fn fee_ceil(&self, tokens_in: u32, tokens_out: u32) -> Result<u64> {
        let charge =
            |tokens: u32, rate: u64| (u128::from(tokens) * u128::from(rate)).div_ceil(1000);
        // Each charge is below 2^96, so the sum cannot overflow 128 bits.
        let fee = charge(tokens_in, self.input_rate)
            + charge(tokens_out, self.output_rate)
            + u128::from(self.platform_fee);
        i64::try_from(fee)
            .map(i64::unsigned_abs)
            .map_err(|_| Error::Overflow { what: "fee", value: fee })
    }
}

/// `floor(amount * bps / 10_000)`; more than 10 000 bps count as that many.
#[must_use]
pub fn floor_bps(amount: u64, bps: u16) -> u64 {
    mul_div_floor(amount, u64::from(bps.min(FULL_BPS)), u64::from(FULL_BPS))
}

/// `floor(amount * part / whole)`; the caller holds `part <= whole` and `whole > 0`.
pub(crate) fn mul_div_floor(amount: u64, part: u64, whole: u64) -> u64 {
    let quotient = u128::from(amount) * u128::from(part) / u128::from(whole);
    u64::try_from(quotient).expect("part <= whole, so the quotient is at most the amount")
}

/// How the gross fee is shared, in basis points that sum to 10 000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Split {
    platform: u16,
    model: u16,
    stakers: u16,
    contributors: u16,
}

impl Default for Split {
    /// 1000 platform, 2000 model, 2000 stakers, 5000 contributors.
    fn default() -> Self {
        Self { platform: 1000, model: 2000, stakers: 2000, contributors: 5000 }
    }
}

impl Split {
    /// Shares of treasury, model owners, the operator's stakers and contributors, in bps.
    ///
    /// # Errors
    /// [`Error::SplitNotWhole`] unless they sum to 10 000.
    pub fn new(platform: u16, model: u16, stakers: u16, contributors: u16) -> Result<Self> {
        let split = Self { platform, model, stakers, contributors };
        let sum = split.bps().iter().map(|&bps| u32::from(bps)).sum();
        if sum != u32::from(FULL_BPS) {
            return Err(Error::SplitNotWhole { sum });
        }
        Ok(split)
    }

    /// Basis points of (platform, model, stakers, contributors).
    #[must_use]
    pub const fn bps(&self) -> [u16; 4] {
        [self.platform, self.model, self.stakers, self.contributors]
    }

    /// Shares of a fee: floors, with the remainder added to the treasury's share.
    #[must_use]
    pub fn shares(&self, fee: u64) -> FeeShares {
        let model = floor_bps(fee, self.model);
        let stakers = floor_bps(fee, self.stakers);
        let contributors = floor_bps(fee, self.contributors);
        // Never below floor(fee * platform / 10_000), because the bps sum to 10_000.
        let treasury = fee - model - stakers - contributors;
        FeeShares { treasury, model, stakers, contributors }
    }
}

/// Shares of one fee in gwei; they sum to the fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeShares {
    /// Platform share and the rounding remainder.
    pub treasury: u64,
    /// For the owners of the adapters used.
    pub model: u64,
    /// For the stakers of the operator that served the call.
    pub stakers: u64,
    /// The pool that influence shares out.
    pub contributors: u64,
}
