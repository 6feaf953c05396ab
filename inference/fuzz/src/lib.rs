//! Fuzz targets of the loaders: see [`loaders`].

pub mod loaders;

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{Mutex, PoisonError},
};

use self::loaders::Entry;

/// Where the last panic was and what it said.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// Replaces the fuzzer's hook, which ends the process at panics that are caught too.
pub fn start() {
    panic::set_hook(Box::new(|info| {
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
    }));
}

/// Ends the process if the loader panics.
pub fn check(entry: Entry, data: &[u8]) {
    if panic::catch_unwind(AssertUnwindSafe(|| entry(data))).is_err() {
        eprintln!("{}", PANIC.lock().unwrap_or_else(PoisonError::into_inner));
        std::process::abort();
    }
}
