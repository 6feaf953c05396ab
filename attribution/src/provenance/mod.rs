//! What an adapter was trained on: the log that its trainer signs.
//!
//! A [`TrainingLog`] names the Datanet versions, the configuration, the seed, the adapter that came
//! out, and the rows used at every step. [`TrainingLog::commitment`] is one hash over all of it, with
//! trees over rows and steps, so that a single step can be shown ([`TrainingLog::step_proof`])
//! without the rest. Signing the commitment is the node's part.
//!
//! The log says what was done; it does not prove it. What can be checked: rows against the Datanets
//! ([`TrainingLog::check_rows`]), the order of the rows against the seed (by whoever has the trainer),
//! and the adapter by training again, which gives the same bytes.

mod codec;

use alloc::{string::String, vec::Vec};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    Error, Result,
    settle::{Hash, keccak, merkle},
};

/// Most rows of a log, as of an index.
const MAX_ROWS: usize = 1 << 24;
/// Most Datanets of a model, as ModelRegistry has it.
const MAX_DATANETS: usize = 16;
/// Longest configuration, in bytes.
const MAX_CONFIGURATION: usize = 1 << 16;
/// What a commitment begins with, so that it is no hash of anything else.
const DOMAIN: &[u8] = b"OpenLedger training log 1";

/// A version of a Datanet that rows are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LoggedDatanet {
    /// The Datanet's id.
    pub id: Hash,
    /// Its version, from 1; 0 if it was not published.
    pub version: u32,
    /// Root of the version's rows ([`merkle::row_leaf`]).
    pub rows_root: Hash,
    /// Rows of the version.
    pub rows: u64,
}

/// A row of the training set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LoggedRow {
    /// Place of its Datanet in the log.
    pub datanet: u8,
    /// Position in the version.
    pub index: u64,
    /// keccak256 of its text.
    pub hash: Hash,
}

/// What an adapter was trained on.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TrainingLog {
    /// Id of the base model.
    pub base: Hash,
    /// Hash of the adapter that came out.
    pub adapter: Hash,
    /// Datanet versions, at most 16.
    pub datanets: Vec<LoggedDatanet>,
    /// Every setting that the adapter depends on, as JSON with sorted keys; at most 2^16 bytes.
    pub configuration: String,
    /// Seed of initial weights and order.
    pub seed: u64,
    /// The training set: rows that a step may have, each once, ascending by (datanet, index).
    pub rows: Vec<LoggedRow>,
    /// For each step its rows as places in `rows`, in the order of the batch.
    pub steps: Vec<Vec<u32>>,
}

impl TrainingLog {
    /// The hash that is signed and registered:
    ///
    /// `keccak256(domain, base, adapter, keccak256(configuration), seed u64, count u32, per Datanet (id,
    /// version u32, rows root, rows u64), rows u32, root of rows, steps u32, root of steps)`,
    /// big-endian, unpadded, with [`merkle::root`] over the leaves of rows, `keccak256(keccak256(place
    /// u32, datanet u8, index u64, hash))`, and of steps, `keccak256(keccak256(step u32, places u32
    /// each))`.
    ///
    /// # Errors
    /// [`Error::TrainingLog`] if the log breaks a rule: nothing, or two things, would be committed to.
    pub fn commitment(&self) -> Result<Hash> {
        self.check()?;
        let mut bytes = DOMAIN.to_vec();
        bytes.extend(self.base);
        bytes.extend(self.adapter);
        bytes.extend(keccak(&[self.configuration.as_bytes()]));
        bytes.extend(self.seed.to_be_bytes());
        bytes.extend(word(self.datanets.len()));
        for datanet in &self.datanets {
            bytes.extend(datanet.id);
            bytes.extend(datanet.version.to_be_bytes());
            bytes.extend(datanet.rows_root);
            bytes.extend(datanet.rows.to_be_bytes());
        }
        bytes.extend(word(self.rows.len()));
        bytes.extend(merkle::root(&self.row_leaves()));
        bytes.extend(word(self.steps.len()));
        bytes.extend(merkle::root(&self.step_leaves()));
        Ok(keccak(&[&bytes]))
    }

    /// Root over the steps, for [`Self::step_proof`].
    #[must_use]
    pub fn steps_root(&self) -> Hash {
        merkle::root(&self.step_leaves())
    }

    /// Siblings from a step's leaf up to [`Self::steps_root`].
    ///
    /// # Errors
    /// [`Error::NoSuchLeaf`] if there is no such step.
    pub fn step_proof(&self, step: usize) -> Result<Vec<Hash>> {
        merkle::proof(&self.step_leaves(), step)
    }

    /// Whether a Datanet's rows are those that the log has: `hash_of` gives the hash of the text at a
    /// position of the version.
    ///
    /// # Errors
    /// [`Error::TrainingLog`] if a row of it is missing or another.
    pub fn check_rows(&self, datanet: u8, hash_of: impl Fn(u64) -> Option<Hash>) -> Result<()> {
        let mut own = self.rows.iter().filter(|row| row.datanet == datanet);
        if own.all(|row| hash_of(row.index) == Some(row.hash)) {
            Ok(())
        } else {
            Err(Error::TrainingLog("a row is not the one that its Datanet has"))
        }
    }

    /// The rules that [`Self::commitment`] relies on.
    fn check(&self) -> Result<()> {
        let rule = |holds: bool, rule| if holds { Ok(()) } else { Err(Error::TrainingLog(rule)) };
        rule((1..=MAX_DATANETS).contains(&self.datanets.len()), "it must name 1 to 16 Datanets")?;
        let short = self.configuration.len() <= MAX_CONFIGURATION;
        rule(short, "its configuration must have at most 2^16 bytes")?;
        rule((1..=MAX_ROWS).contains(&self.rows.len()), "it must name 1 to 2^24 rows")?;
        rule((1..=MAX_ROWS).contains(&self.steps.len()), "it must have 1 to 2^24 steps")?;
        let place = |row: &LoggedRow| (row.datanet, row.index);
        let ascend = self.rows.windows(2).all(|pair| place(&pair[0]) < place(&pair[1]));
        rule(ascend, "its rows must ascend by Datanet and position")?;
        let known = |row: &LoggedRow| {
            let datanet = self.datanets.get(usize::from(row.datanet));
            datanet.is_some_and(|datanet| row.index < datanet.rows)
        };
        rule(self.rows.iter().all(known), "its rows must be in its Datanets")?;
        self.check_steps()
    }

    fn check_steps(&self) -> Result<()> {
        // The last step that had a row.
        let mut last = alloc::vec![usize::MAX; self.rows.len()];
        for (step, places) in self.steps.iter().enumerate() {
            if places.is_empty() {
                return Err(Error::TrainingLog("a step must have a row"));
            }
            for &place in places {
                let known = last.get_mut(place as usize).filter(|last| **last != step);
                let rule = "a step must have rows of the log, none of them twice";
                *known.ok_or(Error::TrainingLog(rule))? = step;
            }
        }
        Ok(())
    }

    fn row_leaves(&self) -> Vec<Hash> {
        let leaf = |(place, row): (u32, &LoggedRow)| {
            let index = row.index.to_be_bytes();
            let inner = keccak(&[&place.to_be_bytes(), &[row.datanet], &index, &row.hash]);
            keccak(&[&inner])
        };
        (0..).zip(&self.rows).map(leaf).collect()
    }

    fn step_leaves(&self) -> Vec<Hash> {
        let leaf = |(step, places): (u32, &Vec<u32>)| step_leaf(step, places);
        (0..).zip(&self.steps).map(leaf).collect()
    }
}

/// Leaf of a step, from 0, under [`TrainingLog::steps_root`].
#[must_use]
pub fn step_leaf(step: u32, places: &[u32]) -> Hash {
    let places: Vec<u8> = places.iter().flat_map(|place| place.to_be_bytes()).collect();
    keccak(&[&keccak(&[&step.to_be_bytes(), &places])])
}

fn word(count: usize) -> [u8; 4] {
    u32::try_from(count).expect("counts are checked to be at most 2^24").to_be_bytes()
}
