//! What of a contributor's pay each of its rows is owed.

use std::collections::BTreeMap;

use attribution::{
    estimate::InfluenceIndex,
    settle::{EarnerIndex, Ground, ModelKey, SpanUse, audit::SpanCorpus},
    spans::SpanIndex,
};

use super::book::{Book, BookRecord};

/// What a row is owed of what its contributor is paid in a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowPay {
    /// Gwei of what the contributor's net is paid.
    pub influence: u64,
    /// Gwei of what it is paid by accepted rows.
    pub flat: u64,
}

/// Splits what a batch pays the contributors of a model among their rows, by place in the model's
/// index; the second is what no row is known for. The parts of a contributor's rows sum to what it is
/// paid.
///
/// Pay for a net goes by what each row added to the net: in every call that credits its contributor
/// `pool * score / sum |S|`, which adds up to the credit, the credits for citing it, and those for spans
/// that it holds ([`span_row`]); without the span index, credits for spans are shared by all rows of
/// their holder. Rows that took from the net get nothing. Pay by accepted rows is the same for each.
/// Nobody is paid by this split, so it may round: it says how the pay that the ledger fixes came about.
///
/// - `spans`: the model's span index, if it has one and it is here
/// - `sketches`: of the book's records, by ordinal
#[must_use]
pub fn split(
    book: &Book,
    model: ModelKey,
    index: &InfluenceIndex,
    spans: Option<&SpanIndex>,
    sketches: &[Vec<i8>],
) -> (BTreeMap<u32, RowPay>, u64) {
    let accepted = accepted(index);
    let queries = queries(book, model, index.dim(), sketches);
    let (mut pay, mut unplaced) = (BTreeMap::<u32, RowPay>::new(), 0_u64);
    for payout in book.payouts_of(model) {
        let earner = payout.balance.earner;
        let Some(rows) = accepted.get(&earner) else {
            unplaced = unplaced.saturating_add(payout.influence).saturating_add(payout.flat);
            continue;
        };
        let uses = Uses::of(book, model, earner, index, spans);
        let weights = weights(index, rows, queries.get(&earner), &uses);
        for (&row, gwei) in rows.iter().zip(apportion(payout.influence, &weights)) {
            pay.entry(row).or_default().influence += gwei;
        }
        for (&row, gwei) in rows.iter().zip(apportion(payout.flat, &vec![1; rows.len()])) {
            pay.entry(row).or_default().flat += gwei;
        }
    }
    pay.retain(|_, pay| *pay != RowPay::default());
    (pay, unplaced)
}

/// Places of each contributor's rows that count.
fn accepted(index: &InfluenceIndex) -> BTreeMap<EarnerIndex, Vec<u32>> {
    let mut accepted = BTreeMap::<EarnerIndex, Vec<u32>>::new();
    for (place, row) in (0u32..).zip(index.rows()) {
        if row.source.cluster == place {
            accepted.entry(row.source.earner).or_default().push(place);
        }
    }
    accepted
}

/// For each contributor the sum of the sketches of the calls that credit it, each times
/// `pool / sum |S|`: what a row adds to the contributor's net is its dot product with that.
fn queries(
    book: &Book,
    model: ModelKey,
    dim: usize,
    sketches: &[Vec<i8>],
) -> BTreeMap<EarnerIndex, Vec<f64>> {
    let mut queries = BTreeMap::<EarnerIndex, Vec<f64>>::new();
    let of_model = |(record, _): &(&BookRecord, &Vec<i8>)| record.is_of(model);
    for (record, sketch) in book.records.iter().zip(sketches).filter(of_model) {
        let Some(pool) = record.pools.iter().find(|pool| pool.kind.is_none()) else { continue };
        let magnitude: u128 = pool.credits.iter().map(|credit| credit.score.unsigned_abs()).sum();
        if magnitude == 0 || sketch.len() != dim {
            continue;
        }
        let scale = pool.amount as f64 / magnitude as f64;
        for credit in &pool.credits {
            let sum = queries.entry(credit.earner).or_insert_with(|| vec![0.0; dim]);
            for (sum, value) in sum.iter_mut().zip(sketch) {
                *sum += scale * f64::from(*value);
            }
        }
    }
    queries
}

/// The row that a span's credit is for: the canonical row of the cluster that holds the occurrence which
/// the credit names. `None` if the index has no such rank, or another row there than the one that is
/// credited: of a ledger that nobody disputed in time, anything may be false.
///
/// - `earner`: who is credited
#[must_use]
pub fn span_row(
    index: &InfluenceIndex,
    spans: &SpanIndex,
    span: &SpanUse,
    earner: EarnerIndex,
) -> Option<u32> {
    let rank = span.low.checked_add(span.occurrence.into())?;
    if rank >= SpanCorpus::tokens(spans) {
        return None;
    }
    let row = spans.cluster_at(spans.position(rank));
    let source = index.rows().get(row as usize)?.source;
    (source.earner == earner && spans.row(row) == Some(source)).then_some(row)
}

/// Gwei credited to a contributor for uses.
#[derive(Debug, Default)]
struct Uses {
    /// By cited row: Datanet and index there.
    cited: BTreeMap<(u8, u64), f64>,
    /// For spans, by place of the row that holds them.
    held: BTreeMap<u32, f64>,
    /// For spans whose row is not known.
    shared: f64,
}

impl Uses {
    fn of(
        book: &Book,
        model: ModelKey,
        earner: EarnerIndex,
        index: &InfluenceIndex,
        spans: Option<&SpanIndex>,
    ) -> Self {
        let mut uses = Self::default();
        let records = book.records.iter().filter(|record| record.is_of(model));
        let credits = records.flat_map(|record| &record.pools).flat_map(|pool| &pool.credits);
        for credit in credits.filter(|credit| credit.earner == earner) {
            let gwei = credit.gwei as f64;
            match credit.ground {
                Some(Ground::Citation(citation)) => {
                    *uses.cited.entry((citation.datanet, citation.row)).or_default() += gwei;
                }
                Some(Ground::Span(span)) => {
                    match spans.and_then(|spans| span_row(index, spans, &span, earner)) {
                        Some(row) => *uses.held.entry(row).or_default() += gwei,
                        None => uses.shared += gwei,
                    }
                }
                None => {}
            }
        }
        uses
    }
}

/// What each of a contributor's rows added to its net, as weights; all the same if none added.
fn weights(
    index: &InfluenceIndex,
    rows: &[u32],
    query: Option<&Vec<f64>>,
    uses: &Uses,
) -> Vec<u64> {
    let share = uses.shared / rows.len() as f64;
    let added = rows.iter().map(|&place| {
        let source = &index.rows()[place as usize].source;
        let sketch = index.sketch(place as usize).unwrap_or_default();
        let influence: f64 = query
            .map_or(0.0, |query| query.iter().zip(sketch).map(|(q, t)| q * f64::from(*t)).sum());
        let cited = uses.cited.get(&(source.datanet, source.index)).copied().unwrap_or(0.0);
        let held = uses.held.get(&place).copied().unwrap_or(0.0);
        (influence + cited + held + share).max(0.0)
    });
    let added: Vec<f64> = added.collect();
    let sum: f64 = added.iter().sum();
    if !(sum > 0.0 && sum.is_finite()) {
        return vec![1; rows.len()];
    }
    // 2^40 is finer than any share that matters, and as many rows as there can be stay below 2^64.
    added.into_iter().map(|one| (one / sum * (1_u64 << 40) as f64) as u64).collect()
}

/// Divides an amount by weights, exactly: every part is within 1 of its share, and all sum to the
/// amount. Without a weight the first gets all; without parts there is nothing to divide to.
#[must_use]
pub fn apportion(amount: u64, weights: &[u64]) -> Vec<u64> {
    let whole: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    if whole == 0 {
        let mut parts = vec![0; weights.len()];
        if let Some(first) = parts.first_mut() {
            *first = amount;
        }
        return parts;
    }
    let (mut through, mut given) = (0_u128, 0_u64);
    let part = |&weight: &u64| {
        through += u128::from(weight);
        // At most the amount, because `through <= whole`.
        let until = u64::try_from(mul_div(amount, through, whole)).unwrap_or(amount);
        let part = until - given;
        given = until;
        part
    };
    weights.iter().map(part).collect()
}

/// `floor(amount * part / whole)` for `part <= whole`, without overflow for `whole < 2^64`; coarser
/// above.
fn mul_div(amount: u64, part: u128, whole: u128) -> u128 {
    let shift = 128_u32.saturating_sub(whole.leading_zeros()).saturating_sub(64);
    if part == whole {
        return amount.into();
    }
    u128::from(amount) * (part >> shift) / (whole >> shift).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_sum_to_the_amount_and_are_within_one_of_their_shares(
            amount in any::<u64>(),
            weights in prop::collection::vec(0_u64..1 << 40, 1..50),
        ) {
            let parts = apportion(amount, &weights);
            prop_assert_eq!(parts.iter().map(|&part| u128::from(part)).sum::<u128>(), amount.into());
            let whole: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
            for (&part, &weight) in parts.iter().zip(&weights) {
                let product = u128::from(amount) * u128::from(weight);
                if let Some(share) = product.checked_div(whole) {
                    prop_assert!(u128::from(part).abs_diff(share) <= 1, "{} {}", part, share);
                }
            }
        }

        #[test]
        fn the_largest_weights_do_not_overflow(
            weights in prop::collection::vec(u64::MAX - 9..=u64::MAX, 1..9),
        ) {
            let parts = apportion(u64::MAX, &weights);
            prop_assert_eq!(parts.iter().map(|&p| u128::from(p)).sum::<u128>(), u64::MAX.into());
        }
    }

    #[test]
    fn without_weights_the_first_gets_all() {
        assert_eq!(apportion(7, &[0, 0]), [7, 0]);
        assert_eq!(apportion(7, &[]), Vec::<u64>::new());
    }
}
