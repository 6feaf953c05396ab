//! What events of influence and span indexes do to the tables. `block` is the event's.

use super::{apply::change, overlay::Overlay, views::*};
use crate::{
    Result,
    chain::bindings::{
        IInfluenceIndexes::{self, IInfluenceIndexesEvents},
        ISpanIndexes::{self, ISpanIndexesEvents},
    },
    registry::index_order_key,
    store::Table,
};

pub(super) fn influence(
    tables: &mut Overlay<'_>,
    event: IInfluenceIndexesEvents,
    block: u64,
) -> Result<()> {
    use IInfluenceIndexes::{IndexHeld, IndexPublished, IndexStruck};
    type Event = IInfluenceIndexesEvents;
    match event {
        Event::IndexPublished(published) => {
            let IndexPublished {
                model,
                contributors,
                dim,
                symbols,
                acceptedAt,
                blobs,
                certificates,
                ..
            } = published;
            let accepted_at = acceptedAt;
            let certificates = certificates.into_iter().map(Into::into).collect();
            let view = IndexView {
                contributors,
                dim,
                symbols,
                blobs,
                certificates,
                accepted_at,
                struck: false,
            };
            tables.put(Table::IndexOrder, &index_order_key(block, model), &())?;
            tables.put(Table::Indexes, model.as_slice(), &view)
        }
        Event::IndexHeld(IndexHeld { model, acceptedAt }) => {
            change(tables, Table::Indexes, model, |view: &mut IndexView| {
                view.accepted_at = acceptedAt
            })
        }
        Event::IndexStruck(IndexStruck { model, .. }) => {
            change(tables, Table::Indexes, model, |view: &mut IndexView| view.struck = true)
        }
    }
}

pub(super) fn spans(tables: &mut Overlay<'_>, event: ISpanIndexesEvents, block: u64) -> Result<()> {
    use ISpanIndexes::{LeafDemanded, LeafShown, SpanIndexPublished, SpanIndexStruck};
    type Event = ISpanIndexesEvents;
    match event {
        Event::SpanIndexPublished(SpanIndexPublished {
            model,
            publisher,
            commitment,
            acceptedAt,
        }) => {
            let view = SpanIndexView {
                commitment,
                publisher,
                disputable_until: acceptedAt,
                accepted_at: acceptedAt,
                demands: 0,
                struck: false,
            };
            tables.put(Table::SpanIndexOrder, &index_order_key(block, model), &())?;
            tables.put(Table::SpanIndexes, model.as_slice(), &view)
        }
        Event::LeafDemanded(LeafDemanded { model, until, .. }) => {
            change(tables, Table::SpanIndexes, model, |view: &mut SpanIndexView| {
                view.demands += 1;
                view.accepted_at = view.accepted_at.max(until);
            })
        }
        Event::LeafShown(LeafShown { model, .. }) => {
            change(tables, Table::SpanIndexes, model, |view: &mut SpanIndexView| {
                view.demands = view.demands.saturating_sub(1)
            })
        }
        Event::SpanIndexStruck(SpanIndexStruck { model, .. }) => {
            change(tables, Table::SpanIndexes, model, |view: &mut SpanIndexView| view.struck = true)
        }
    }
}
