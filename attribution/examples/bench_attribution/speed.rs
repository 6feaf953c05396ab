use crate::Failure;
use std::path::Path;
pub(crate) fn measure(_: &Path, _: &Path, _: &Path, _: bool) -> Result<(), Failure> {
    Ok(())
}
