//! Reading from the disk itself.

use std::{path::Path, process::Command};

use super::Failure;

/// Drops a file from the system's cache, so that its next reading comes from the disk.
///
/// `dd` of GNU coreutils does it without rights and without changing the file.
pub(crate) fn forget(path: &Path) -> Result<(), Failure> {
    let dd = Command::new("dd")
        .arg(format!("of={}", path.display()))
        .args(["oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"])
        .status()?;
    if dd.success() { Ok(()) } else { Err(format!("dd of {}: {dd}", path.display()).into()) }
}
