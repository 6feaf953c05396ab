use alloc::{collections::BTreeMap, vec::Vec};

use super::{ChannelId, Draw, Record};
use crate::{Error, Result};

/// Draws by channel id; the records of each channel must tile one interval.
pub(crate) fn draws(records: &[&Record]) -> Result<Vec<Draw>> {
    check_distinct(records.iter().map(|record| record.call().channel.0), |id| id[..30].to_vec())?;
    let mut intervals = BTreeMap::<ChannelId, Vec<(u64, u64)>>::new();
    for record in records {
        intervals.entry(record.call().channel).or_default().push(record.interval());
    }
    intervals.into_iter().map(|(channel, tiles)| draw(channel, tiles)).collect()
}

fn draw(channel: ChannelId, mut tiles: Vec<(u64, u64)>) -> Result<Draw> {
    tiles.sort_unstable();
    let from = tiles[0].0;
    let mut to = from;
    for (given, end) in tiles {
        if given != to {
            return Err(Error::NotTiled { channel: channel.0, expected: to, given });
        }
        to = end;
    }
    Ok(Draw { channel, from, to })
}

/// Refuses two ids that the ledger would take for one, because it keeps only `key` of them.
pub(crate) fn check_distinct(
    ids: impl Iterator<Item = [u8; 32]>,
    key: impl Fn(&[u8; 32]) -> Vec<u8>,
) -> Result<()> {
    let mut seen = BTreeMap::new();
    for id in ids {
        if *seen.entry(key(&id)).or_insert(id) != id {
            return Err(Error::IdCollision { id });
        }
    }
    Ok(())
}
