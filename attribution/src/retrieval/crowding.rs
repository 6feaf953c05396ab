//! How crowded the neighbourhood of a row is.
//!
//! Some vectors are near to everything, among them to questions that they do not answer: the hubs of
//! high-dimensional spaces (Radovanovic, Nanopoulos and Ivanovic 2010). As in cross-domain similarity
//! local scaling (Lample et al. 2018, "Word translation without parallel data", section 2.3), a row
//! gives up part of its nearness to a question for being near to others anyway.
//!
//! It is only that of rows within one shelf to the shelf's mean, so it favours no Datanet, and it has
//! no part in what a row is paid.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::dot;
use crate::settle::Hash;

/// Rows that a row is compared with: those with the smallest hashes.
const SAMPLE: usize = 256;
/// How many of them, the nearest, make its neighbourhood.
const NEAREST: usize = 16;

/// The rows of a shelf that others are compared with, as they come.
#[derive(Debug, Default)]
pub(super) struct Sample {
    smallest: BTreeSet<(Hash, u64)>,
}

impl Sample {
    pub(super) fn add(&mut self, hash: Hash, place: u64) {
        self.smallest.insert((hash, place));
        if self.smallest.len() > SAMPLE {
            self.smallest.pop_last();
        }
    }

    /// Places, in order.
    pub(super) fn places(&self) -> Vec<u64> {
        let mut places: Vec<u64> = self.smallest.iter().map(|(_, place)| *place).collect();
        places.sort_unstable();
        places
    }
}

/// Mean dot product of each row with the sixteen nearest of the sample, without itself; nothing if the
/// sample has fewer than 256 rows, which say too little.
///
/// - `vectors`: some rows' vectors, the first of them at `first`
/// - `sample`: places and vectors
pub(super) fn neighbourhoods(
    vectors: &[Vec<i8>],
    first: u64,
    sample: &[(u64, Vec<i8>)],
) -> Vec<i32> {
    if sample.len() < SAMPLE {
        return vec![0; vectors.len()];
    }
    let of = |(at, vector): (usize, &Vec<i8>)| {
        let others = sample.iter().filter(|(other, _)| *other != first + at as u64);
        let mut dots: Vec<i32> = others.map(|(_, other)| dot(vector, other)).collect();
        dots.sort_unstable_by_key(|dot| core::cmp::Reverse(*dot));
        let sum: i64 = dots[..NEAREST].iter().map(|dot| i64::from(*dot)).sum();
        sum.div_euclid(NEAREST as i64) as i32
    };
    vectors.par_iter().enumerate().map(of).collect()
}

/// Makes neighbourhoods relative to their mean, rounded down.
pub(super) fn centre(crowding: &mut [i32]) {
    let sum: i64 = crowding.iter().map(|dot| i64::from(*dot)).sum();
    let mean = sum.div_euclid(crowding.len().max(1) as i64) as i32;
    crowding.iter_mut().for_each(|dot| *dot = dot.saturating_sub(mean));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 300 rows: a cloud around one direction, and rows that are far from it and from each other.
    fn rows() -> Vec<Vec<i8>> {
        let row = |at: usize| {
            let mut row = vec![0i8; 64];
            if at < 200 {
                row[0] = 100;
                row[1 + at % 40] = 20;
            } else {
                row[41 + at % 23] = 100;
            }
            row
        };
        (0..300).map(row).collect()
    }

    #[test]
    fn rows_of_a_cloud_are_crowded_and_their_mean_is_none() {
        let rows = rows();
        let mut sample = Sample::default();
        for place in 0..300u64 {
            sample.add([(place * 91 % 256) as u8; 32], place);
        }
        let places = sample.places();
        assert_eq!(places.len(), SAMPLE);
        let sample: Vec<_> = places.iter().map(|p| (*p, rows[*p as usize].clone())).collect();
        let mut crowding = neighbourhoods(&rows, 0, &sample);
        assert!(crowding[..200].iter().all(|dot| (10_000..=10_400).contains(dot)));
        assert!(crowding[200..].iter().all(|dot| *dot < 3_000));
        // Rows may come in blocks.
        assert_eq!(neighbourhoods(&rows[150..], 150, &sample), crowding[150..]);
        centre(&mut crowding);
        assert!(crowding[0] > 0 && crowding[299] < 0);
        assert!(crowding.iter().sum::<i32>().abs() < 300);
        assert_eq!(neighbourhoods(&rows, 0, &sample[1..]), vec![0; 300]);
    }
}
