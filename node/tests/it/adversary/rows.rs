//! Rows changed after they were made, such that accounts still close and payouts still sum up.

use attribution::settle::{Info, Row, SlotLayout, Witness};

use super::{
    belief::{Operator, Posted, digest},
    registries::Registries,
};

fn info(batch: &mut Posted, at: usize) -> &mut Info {
    &mut batch.rows[at].info
}

pub(super) fn unknown_kind(_: &Registries, _: &Operator, batch: &mut Posted) {
    let last = batch.rows.len() - 1;
    assert_eq!(batch.rows[last], Row::PADDING);
    batch.flips.push((8 * last + 4, 1, 14));
}

pub(super) fn header_total(_: &Registries, _: &Operator, batch: &mut Posted) {
    let Info::Header { total, .. } = info(batch, 0) else { panic!("the header") };
    *total += 1;
}

/// A gwei of a contributor's pay goes to the treasury.
pub(super) fn underpay(_: &Registries, _: &Operator, batch: &mut Posted) {
    let is_paid = |row: &Row| matches!(row.info, Info::Payout { .. }) && row.amount > 0;
    let payout = batch.rows_where(is_paid)[0];
    batch.rows[payout].amount -= 1;
    let closing = batch.rows_where(|row| matches!(row.info, Info::PoolClosing { .. }))[0];
    batch.rows[closing].amount += 1;
}

pub(super) fn swap_fixed(_: &Registries, _: &Operator, batch: &mut Posted) {
    let fixed = batch.rows_where(|row| row.info == Info::FixedPayout);
    batch.rows.swap(fixed[0], fixed[1]);
}

pub(super) fn running_sum(_: &Registries, _: &Operator, batch: &mut Posted) {
    let payout = batch.rows_where(|row| matches!(row.info, Info::Payout { .. }))[1];
    let Info::Payout { through, .. } = info(batch, payout) else { panic!("a payout") };
    through.flat += 1;
}

/// The second and third call were signed in the same second: their order is the vouchers'.
pub(super) fn swap_records(_: &Registries, _: &Operator, batch: &mut Posted) {
    let at = batch.records();
    batch.rows[at[1]..at[3]].rotate_left(at[2] - at[1]);
    batch.witnesses.swap(1, 2);
    batch.write_witnesses();
    for (number, at) in (0..).zip(batch.records()) {
        let Info::Record { ordinal, .. } = info(batch, at) else { panic!("a record") };
        *ordinal = number;
    }
}

pub(super) fn count_records(_: &Registries, _: &Operator, batch: &mut Posted) {
    let Info::Header { records, .. } = info(batch, 0) else { panic!("the header") };
    *records += 1;
}

/// Two records of one model, so that the balance is the same.
pub(super) fn move_credit(_: &Registries, _: &Operator, batch: &mut Posted) {
    let credits = batch.rows_where(|row| matches!(row.info, Info::Credit { .. }));
    let account = batch.rows[credits[0]].account;
    let same = |&&at: &&usize| batch.rows[at].account == account;
    let other = *credits[1..].iter().find(same).unwrap();
    batch.rows[credits[0]].value += 1;
    batch.rows[other].value -= 1;
}

pub(super) fn count_credits(_: &Registries, _: &Operator, batch: &mut Posted) {
    let last = *batch.records().last().unwrap() + 4;
    let Info::PoolShare { credits, .. } = info(batch, last) else { panic!("a pool share") };
    *credits -= 1;
}

/// A gwei of flat pay moves from one contributor to the one before, with all sums.
pub(super) fn move_flat(_: &Registries, _: &Operator, batch: &mut Posted) {
    let has_flat = |row: &Row| matches!(row.info, Info::Payout { flat: 1.., .. });
    let paid = batch.rows_where(has_flat);
    let first = paid.into_iter().find(|&at| has_flat(&batch.rows[at + 1])).unwrap();
    for (at, more) in [(first, 1), (first + 1, -1)] {
        let row = &mut batch.rows[at];
        row.amount = row.amount.checked_add_signed(more).unwrap();
        let Info::Payout { flat, through, .. } = &mut row.info else { panic!("a payout") };
        *flat = flat.checked_add_signed(more).unwrap();
        through.flat += u64::from(more > 0);
    }
}

/// A gwei of one pool's flat pay that nobody got is the treasury's, which gives up one of another's.
pub(super) fn take_flat(_: &Registries, _: &Operator, batch: &mut Posted) {
    let is_shared = |row: &Row| matches!(row.info, Info::PoolClosing { weight: 1.., .. });
    let closings = batch.rows_where(is_shared);
    let order = |&at: &usize| batch.rows[at].amount;
    let (rich, poor) = (
        closings.iter().copied().max_by_key(order).unwrap(),
        closings.iter().copied().min_by_key(order).unwrap(),
    );
    assert!(rich != poor && batch.rows[rich].amount > 0);
    for (at, more) in [(poor, 1), (rich, -1)] {
        let row = &mut batch.rows[at];
        row.amount = row.amount.checked_add_signed(more).unwrap();
        let Info::PoolClosing { flat, .. } = &mut row.info else { panic!("a pool closing") };
        *flat = flat.checked_add_signed(-more).unwrap();
    }
}

/// Records of the first record's channel, by where they charge.
fn charged(batch: &Posted) -> Vec<usize> {
    let records = batch.records();
    let account = batch.rows[records[0]].account;
    records.into_iter().filter(|&at| batch.rows[at].account == account).collect()
}

fn from(batch: &mut Posted, at: usize) -> &mut u64 {
    let Info::Record { from, .. } = info(batch, at) else { panic!("a record") };
    from
}

pub(super) fn overlap(_: &Registries, _: &Operator, batch: &mut Posted) {
    let second = charged(batch)[1];
    *from(batch, second) -= 1;
}

pub(super) fn shift(_: &Registries, _: &Operator, batch: &mut Posted) {
    for at in charged(batch) {
        *from(batch, at) += 1;
    }
}

/// Changes what a record's witness says, and the row's hashes with it.
fn rewrite(on: &Registries, batch: &mut Posted, number: usize, change: impl FnOnce(&mut Witness)) {
    change(&mut batch.witnesses[number]);
    let witness = &batch.witnesses[number];
    let (hash, named) = (witness.hash(), digest(on, witness));
    let at = batch.records()[number];
    let Info::Record { record, voucher, .. } = info(batch, at) else { panic!("a record") };
    record.copy_from_slice(&hash[..31]);
    voucher.copy_from_slice(&named[..31]);
    batch.write_witnesses();
}

pub(super) fn forge(on: &Registries, _: &Operator, batch: &mut Posted) {
    rewrite(on, batch, 1, |witness| witness.signature[3] ^= 1);
}

/// What is wrong is in the slots; that symbol 0 is no payload's header must not hide it.
pub(super) fn forge_behind_header(on: &Registries, operator: &Operator, batch: &mut Posted) {
    forge(on, operator, batch);
    batch.blobs.iter_mut().for_each(|blob| blob[1..32].fill(7));
}

/// The payer signed for a gwei less than the record charges.
pub(super) fn exceed(on: &Registries, operator: &Operator, batch: &mut Posted) {
    let at = batch.records()[0];
    let to = *from(batch, at) + batch.rows[at].value.unsigned_abs();
    rewrite(on, batch, 0, |witness| {
        witness.ceiling = to - 1;
        operator.sign(on, witness);
    });
}

pub(super) fn damage_witness(_: &Registries, _: &Operator, batch: &mut Posted) {
    let place = batch.layout.place(2);
    let index = batch.layout.indices(place.slot).nth(5).unwrap();
    batch.blobs[place.blob][32 * index + 30] ^= 1;
}

/// One record per blob, and only the first blob.
pub(super) fn drop_witnesses(_: &Registries, _: &Operator, batch: &mut Posted) {
    let cells = batch.layout.cells();
    batch.layout = SlotLayout::new(2 * cells, cells).unwrap();
    batch.write_witnesses();
    assert_eq!(batch.blobs.len(), batch.witnesses.len());
    batch.blobs.truncate(1);
}
