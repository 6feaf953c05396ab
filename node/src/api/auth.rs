//! Who asks.

use axum::http::{HeaderMap, StatusCode, header::AUTHORIZATION};

use super::{Api, error::ApiError};
use crate::keys::{ApiKey, Caller};

/// Longest key read, in bytes.
const MAX_KEY_BYTES: usize = 512;

/// The caller that the headers name; nobody without a key.
///
/// # Errors
/// 401 if there is a key and it is nobody's.
pub(super) fn caller(api: &Api, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(Caller::default()) };
    let value = value.as_bytes();
    let key = match value.split_at_checked(7) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"bearer ") => key.trim_ascii(),
        _ => return Err(wrong("Authorization is not a bearer key")),
    };
    if key.len() > MAX_KEY_BYTES {
        return Err(wrong("the key is too long"));
    }
    api.keys.find(key).ok_or_else(|| wrong("the key is unknown"))
}

/// The administrator that the headers name.
///
/// # Errors
/// 401 without a key or with an unknown one, 403 if it is no administrator's.
pub(super) fn administrator<'a>(
    api: &Api,
    caller: &'a mut Caller,
    headers: &HeaderMap,
) -> Result<&'a ApiKey, ApiError> {
    *caller = self::caller(api, headers)?;
    let key = caller.key().ok_or_else(|| wrong("an administrator's key is required"))?;
    if key.admin {
        return Ok(key);
    }
    let message = "the key is not an administrator's";
    Err(ApiError::new(StatusCode::FORBIDDEN, "not_admin", message).about("Authorization"))
}

fn wrong(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message).about("Authorization")
}
