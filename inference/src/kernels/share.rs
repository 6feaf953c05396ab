//! Sharing out a matrix product among threads.

use std::{marker::PhantomData, ops::Range};

use rayon::prelude::*;

use super::LANES;

/// Most rows that one task computes when rows are shared out among threads.
const TASK_ROWS: usize = 64;
/// Rows of the largest register tile.
const TILE_ROWS: usize = 8;
/// Products below which a second thread costs more than it gains.
const SERIAL_PRODUCTS: usize = 1 << 18;

/// The row-major `(rows, width)` result of a product whose tasks write disjoint tiles.
pub(super) struct Output<'a> {
    values: *mut f32,
    rows: usize,
    width: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: tasks of `shared` get disjoint tiles, and each touches its own alone.
unsafe impl Send for Output<'_> {}
// SAFETY: as above.
unsafe impl Sync for Output<'_> {}

/// A rectangle of the result that one task computes.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// Rows of the result.
    pub(super) rows: Range<usize>,
    /// Panels of 16 columns.
    pub(super) panels: Range<usize>,
}

impl<'a> Output<'a> {
    /// # Panics
    /// If `values` is not rows of `width`.
    fn new(values: &'a mut [f32], width: usize) -> Self {
        assert!(width > 0 && values.len().is_multiple_of(width), "output is not whole rows");
        let rows = values.len() / width;
        Self { values: values.as_mut_ptr(), rows, width, borrow: PhantomData }
    }

    /// The part of `row` that lies in `panel`.
    ///
    /// # Safety
    /// `row` and `panel` belong to the caller's own [`Task`], and no other part of the same place
    /// is alive.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "tasks are disjoint")]
    pub(super) unsafe fn part(&self, row: usize, panel: usize) -> &mut [f32] {
        let first = panel * LANES;
        assert!(row < self.rows && first < self.width, "tile outside of the output");
        let count = LANES.min(self.width - first);
        // SAFETY: within the slice that `new` borrowed, checked above; not shared, by contract.
        unsafe { std::slice::from_raw_parts_mut(self.values.add(row * self.width + first), count) }
    }
}

/// Runs many products in a row on a thread of the pool: from any other, each would wait for the pool to
/// wake and to answer.
pub(crate) fn on_the_pool<R: Send>(run: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| run())
}

/// Calls `task` once for the whole of `out (rows, width)`, on this thread.
pub(super) fn alone(out: &mut [f32], width: usize, task: impl FnOnce(&Output<'_>, Task)) {
    if out.is_empty() {
        return;
    }
    let out = Output::new(out, width);
    task(&out, Task { rows: 0..out.rows, panels: 0..width.div_ceil(LANES) });
}

/// Calls `task` for tiles that cover `out (rows, width)` once, on the threads of the pool.
///
/// With many rows each task has some rows and every column; with few, as in decoding, every row and
/// some columns.
pub(super) fn shared(
    out: &mut [f32],
    width: usize,
    depth: usize,
    task: impl Fn(&Output<'_>, Task) + Sync,
) {
    if out.is_empty() {
        return;
    }
    let out = Output::new(out, width);
    let (rows, panels) = (out.rows, width.div_ceil(LANES));
    let threads = rayon::current_num_threads();
    if rows * width * depth < SERIAL_PRODUCTS || threads == 1 {
        task(&out, Task { rows: 0..rows, panels: 0..panels });
    } else if rows > TASK_ROWS {
        // As many parts for each thread, of about as many rows.
        let parts = rows.div_ceil(TASK_ROWS).next_multiple_of(threads);
        let share = rows.div_ceil(parts).next_multiple_of(TILE_ROWS);
        (0..rows.div_ceil(share)).into_par_iter().for_each(|part| {
            let first = part * share;
            task(&out, Task { rows: first..rows.min(first + share), panels: 0..panels });
        });
    } else {
        // More parts than threads, so that a thread that is held up does not hold up the others.
        let share = panels.div_ceil(4 * threads).max(1);
        (0..panels.div_ceil(share)).into_par_iter().for_each(|part| {
            let first = part * share;
            task(&out, Task { rows: 0..rows, panels: first..panels.min(first + share) });
        });
    }
}
