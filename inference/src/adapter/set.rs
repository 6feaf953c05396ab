//! The adapters of one request.

use super::AdapterHash;
use crate::{Error, Result};

/// Most adapters in one set.
pub const MAX_PARTS: usize = 16;
/// Largest magnitude of a weight.
const MAX_WEIGHT: f32 = 16.0;

/// Adapters and their weights: none is the base model, one with weight 1 is an ordinary adapter,
/// several are an ensemble whose deltas are added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdapterSet {
    parts: Vec<(AdapterHash, f32)>,
}

impl AdapterSet {
    /// The base model alone.
    pub const fn base() -> Self {
        Self { parts: Vec::new() }
    }

    /// One adapter as it was trained.
    pub fn one(adapter: AdapterHash) -> Self {
        Self { parts: vec![(adapter, 1.0)] }
    }

    /// Several adapters with weights. The order in which they are given does not matter: deltas are
    /// always added in order of hash, so the same set gives the same bits.
    ///
    /// # Errors
    /// [`Error::Request`] if there are more than [`MAX_PARTS`], one comes twice, or a weight is zero,
    /// not finite or beyond ±16.
    pub fn new(mut parts: Vec<(AdapterHash, f32)>) -> Result<Self> {
        if parts.len() > MAX_PARTS {
            return Err(Error::Request(format!("{} adapters, at most {MAX_PARTS}", parts.len())));
        }
        let usable = |weight: f32| weight != 0.0 && weight.abs() <= MAX_WEIGHT;
        if let Some((adapter, weight)) = parts.iter().find(|(_, weight)| !usable(*weight)) {
            return Err(Error::Request(format!("weight {weight} of adapter {adapter}")));
        }
        parts.sort_by_key(|(adapter, _)| *adapter);
        if let Some(pair) = parts.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::Request(format!("adapter {} is given twice", pair[0].0)));
        }
        Ok(Self { parts })
    }

    /// Adapters and weights in order of hash.
    pub fn parts(&self) -> &[(AdapterHash, f32)] {
        &self.parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_bad_sets_are_refused() {
        let hash = |byte| AdapterHash([byte; 32]);
        let set = AdapterSet::new(vec![(hash(2), 0.5), (hash(1), -2.0)]).unwrap();
        assert_eq!(set, AdapterSet::new(vec![(hash(1), -2.0), (hash(2), 0.5)]).unwrap());
        assert_eq!(set.parts()[0], (hash(1), -2.0));
        assert_eq!(AdapterSet::new(vec![]).unwrap(), AdapterSet::base());
        assert_eq!(AdapterSet::new(vec![(hash(3), 1.0)]).unwrap(), AdapterSet::one(hash(3)));
        for weight in [0.0, f32::NAN, f32::INFINITY, 17.0] {
            assert!(AdapterSet::new(vec![(hash(1), weight)]).is_err());
        }
        assert!(AdapterSet::new(vec![(hash(1), 1.0), (hash(1), 2.0)]).is_err());
        assert!(AdapterSet::new((0..17).map(|i| (hash(i), 1.0)).collect()).is_err());
    }
}
