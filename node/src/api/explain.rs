//! `/v1/records/{digest}/explanation`: who is owed what for an answer, and why.

use alloy::primitives::{Address, B256};
use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;

use super::{
    Api, auth,
    error::ApiError,
    openapi::ErrorBody,
    read::{hash, read},
};
use crate::{
    explain::{Explanation, READER_HEADER, SignedReading, Sources, explain},
    recorder::recorded,
};

/// Rows named if the request does not say how many, and at most.
const ROWS: (usize, usize) = (16, 200);

/// `?rows=COUNT`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selection {
    rows: Option<usize>,
}

/// Who may read what was asked and answered.
#[derive(Debug)]
pub(super) struct Readers {
    is_operator: bool,
    payers: Vec<Address>,
}

impl Readers {
    /// Who the headers name: administrators read for the operator; a key reads what its payer paid
    /// for, unless other keys have the same payer; and payers sign that they read a call.
    pub(super) fn of(api: &Api, headers: &HeaderMap, call: B256) -> Result<Self, ApiError> {
        let caller = auth::caller(api, headers)?;
        let mut readers = Self { is_operator: false, payers: Vec::new() };
        if let Some(key) = caller.key() {
            readers.is_operator = key.admin;
            let payer = key.purse.as_ref().map(|purse| purse.address());
            let has_it = |other: &&crate::keys::ApiKey| {
                other.purse.as_ref().map(|purse| purse.address()) == payer
            };
            // A record does not say which of several keys asked.
            let is_alone = api.keys.iter().filter(has_it).count() == 1;
            readers.payers.extend(payer.filter(|_| is_alone));
        }
        if let Some(header) = headers.get(READER_HEADER) {
            let registry = &api.serving.parts().registry;
            let (now, domain) = (registry.head().timestamp, registry.contracts().voucher_domain());
            let reading = SignedReading::decode(header.as_bytes());
            let reader = reading.and_then(|reading| reading.reader(call, now, &domain));
            let refuse = || {
                let message = "the reading is malformed, over, too long or not signed";
                ApiError::new(StatusCode::FORBIDDEN, "invalid_reading", message)
                    .about(READER_HEADER)
            };
            readers.payers.push(reader.ok_or_else(refuse)?);
        }
        Ok(readers)
    }

    pub(super) fn may_read(&self, payer: Option<Address>) -> bool {
        self.is_operator || payer.is_some_and(|payer| self.payers.contains(&payer))
    }
}

/// Who is owed what for an answer, and why: scores, rows, money. Anyone may see that; `text` is there
/// for the payer (`X-Reader`, or a key that alone has the payer) and for administrators.
#[utoipa::path(
    get,
    path = "/v1/records/{digest}/explanation",
    tag = "reads",
    params(
        ("digest" = String, Path, description = "32 bytes of hex"),
        ("rows" = Option<u64>, Query, description = "Rows to name, 0 to 200"),
        ("X-Reader" = Option<String>, Header, description = "Base64 of `{until, signature}`: the payer's EIP-712 signature of `Reading(bytes32 voucherDigest,uint64 until)` in the domain of vouchers"),
    ),
    responses(
        (status = 200, description = "The explanation", body = Explanation),
        (status = 403, description = "The reading is not valid", body = ErrorBody),
        (status = 404, description = "There is no such record", body = ErrorBody),
    ),
    security((), ("key" = []))
)]
pub(super) async fn explanation(
    State(api): State<Api>,
    headers: HeaderMap,
    Path(text): Path<String>,
    Query(selection): Query<Selection>,
) -> Result<Json<Explanation>, ApiError> {
    let digest = hash(&text)?;
    let rows = selection.rows.unwrap_or(ROWS.0).min(ROWS.1);
    let readers = Readers::of(&api, &headers, digest)?;
    let (registry, catalog) =
        (api.serving.parts().registry.clone(), api.serving.parts().catalog.clone());
    let found = read(&api, move |store| {
        let Some(recorded) = recorded(store, digest)? else { return Ok(None) };
        let channel = registry.channel(recorded.call.voucher.channelId)?;
        let model = B256::new(recorded.call.record.call().model.0);
        let served = catalog.models().iter().find(|served| served.id == model);
        let index = served.and_then(|served| served.adapter.as_ref()).map(|one| &one.index);
        let sources = Sources { store, registry: &registry, index };
        let has_text = readers.may_read(channel.map(|channel| channel.payer));
        explain(sources, &recorded, rows, has_text).map(Some)
    });
    let unknown = || ApiError::not_found("record_not_found", "record is unknown");
    found.await?.map(Json).ok_or_else(unknown)
}
