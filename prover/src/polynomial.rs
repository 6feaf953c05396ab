use ark_bn254::Fr;
use ark_ff::{FftField, Zero};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};

use crate::{Error, Result};

/// Root of unity of order `size`, arkworks' choice.
///
/// # Errors
/// [`Error::DomainSize`] unless `size` is a power of two up to 2^28.
pub fn root_of_unity(size: usize) -> Result<Fr> {
    let order = u64::try_from(size).ok().filter(|order| order.is_power_of_two());
    order.and_then(Fr::get_root_of_unity).ok_or(Error::DomainSize { given: size })
}

/// A polynomial that takes given values on a domain of roots of unity, by coefficients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polynomial {
    root: Fr,
    coefficients: Vec<Fr>,
}

impl Polynomial {
    /// The polynomial with `values[i]` at `w^i`.
    ///
    /// # Errors
    /// [`Error::DomainSize`] unless their number is a power of two up to 2^28.
    pub fn interpolate(values: Vec<Fr>) -> Result<Self> {
        let root = root_of_unity(values.len())?;
        let domain = Radix2EvaluationDomain::<Fr>::new(values.len())
            .ok_or(Error::DomainSize { given: values.len() })?;
        debug_assert_eq!(domain.group_gen, root);
        let mut coefficients = values;
        domain.ifft_in_place(&mut coefficients);
        Ok(Self { root, coefficients })
    }

    /// Coefficients, lowest first; as many as the domain has points.
    #[must_use]
    pub fn coefficients(&self) -> &[Fr] {
        &self.coefficients
    }

    /// The coefficients, lowest first.
    pub(crate) fn into_coefficients(self) -> Vec<Fr> {
        self.coefficients
    }

    /// Points of the domain.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.coefficients.len()
    }

    /// `w^index`.
    ///
    /// # Errors
    /// [`Error::OutsideDomain`] for an index that is not of the domain.
    pub fn point(&self, index: usize) -> Result<Fr> {
        let size = self.size();
        let exponent = u64::try_from(index).ok().filter(|_| index < size);
        let exponent = exponent.ok_or(Error::OutsideDomain { index, size })?;
        Ok(ark_ff::Field::pow(&self.root, [exponent]))
    }

    /// Quotient by `X - z` and the value at `z`: Horner's scheme keeps both.
    #[must_use]
    pub fn divide(&self, z: Fr) -> (Vec<Fr>, Fr) {
        let mut quotient = self.coefficients.clone();
        let mut carry = Fr::zero();
        for coefficient in quotient.iter_mut().rev() {
            let next = *coefficient + carry * z;
            *coefficient = std::mem::replace(&mut carry, next);
        }
        // The highest coefficient of the quotient is zero: its degree is one lower.
        quotient.pop();
        (quotient, carry)
    }
}
