//! What a setting is that the file leaves out.

use std::net::SocketAddr;

pub(super) const fn yes() -> bool {
    true
}

pub(super) const fn poll_interval_ms() -> u64 {
    400
}
pub(super) const fn max_head_age_seconds() -> u64 {
    30
}
pub(super) fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}
pub(super) const fn max_skew_seconds() -> u64 {
    30
}
pub(super) const fn max_body_bytes() -> usize {
    256 << 10
}
pub(super) const fn max_requests() -> usize {
    256
}
pub(super) const fn call_timeout_seconds() -> u64 {
    120
}
pub(super) const fn max_prompt_tokens() -> usize {
    768
}
pub(super) const fn max_new_tokens() -> usize {
    256
}
pub(super) const fn max_batch() -> usize {
    16
}
pub(super) const fn ranks() -> usize {
    1
}
pub(super) const fn queue() -> usize {
    64
}
pub(super) const fn attribution_threads() -> usize {
    1
}
pub(super) const fn powers() -> usize {
    1 << 19
}
pub(super) const fn archive_seconds() -> u64 {
    7 * 86_400
}
pub(super) const fn calls_per_epoch() -> u32 {
    2
}
pub(super) const fn shopping_tokens() -> u64 {
    48
}
pub(super) fn level() -> String {
    "info".into()
}
pub(super) fn hub() -> String {
    "https://huggingface.co".into()
}
