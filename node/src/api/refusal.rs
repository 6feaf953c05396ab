//! How refusals of the recorder and failures of the node are shown.

use axum::http::StatusCode;
use serde_json::json;

use super::error::ApiError;
use crate::{Error, recorder::Refusal};

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match &refusal {
            Refusal::Signature { .. } => (StatusCode::BAD_REQUEST, "invalid_signature"),
            Refusal::UnknownChannel { .. } => (StatusCode::PAYMENT_REQUIRED, "unknown_channel"),
            Refusal::OtherOperator { .. } => (StatusCode::PAYMENT_REQUIRED, "other_operator"),
            Refusal::OtherPayer { .. } => (StatusCode::FORBIDDEN, "other_payer"),
            Refusal::UnknownModel { .. } => (StatusCode::NOT_FOUND, "model_not_found"),
            Refusal::PriceVersion { .. } => (StatusCode::PAYMENT_REQUIRED, "price_version"),
            Refusal::Time { .. } => (StatusCode::BAD_REQUEST, "time_out_of_range"),
            Refusal::EarlierEpoch { .. } => (StatusCode::CONFLICT, "earlier_epoch"),
            Refusal::EpochSealed { .. } => (StatusCode::CONFLICT, "epoch_sealed"),
            Refusal::EpochFull { .. } => (StatusCode::TOO_MANY_REQUESTS, "epoch_full"),
            Refusal::CeilingTooLow { .. } => (StatusCode::PAYMENT_REQUIRED, "ceiling_too_low"),
            Refusal::AboveDeposit { .. } => (StatusCode::PAYMENT_REQUIRED, "above_deposit"),
            Refusal::TooManyInFlight { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_in_flight")
            }
        };
        let error = Self::new(status, code, refusal.to_string()).about("X-Payment");
        match refusal {
            Refusal::CeilingTooLow { required, given } => error.with(json!({
                "required": required.to_string(),
                "given": given.to_string(),
            })),
            Refusal::AboveDeposit { ceiling, available } => error.with(json!({
                "ceiling": ceiling.to_string(),
                "available_wei": available.to_string(),
            })),
            Refusal::PriceVersion { current, .. } => error.with(json!({ "current": current })),
            _ => error,
        }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::Busy(what) => Self::unavailable("busy", format!("busy: {what}")),
            Error::Inference(inference::Error::Busy { waiting, retry_after }) => {
                Self::overloaded(format!("{waiting} calls wait for the engine"), retry_after)
            }
            Error::Inference(inference::Error::UnknownAdapter(_)) => Self::unknown_adapter(),
            Error::Inference(inference::Error::Request(what)) => Self::invalid("body", what),
            Error::Expired => Self::expired(),
            Error::Inference(inference::Error::Stopped) => {
                Self::unavailable("stopping", "the engine has stopped")
            }
            Error::Store(cause) => {
                // Which row or file is the operator's to know.
                tracing::error!(target: "node::api", %cause, "store failed");
                Self::unavailable("store_failed", "the node's store failed; nothing was changed")
            }
            Error::Stopped(what) => Self::unavailable("stopping", format!("{what} has stopped")),
            other => Self::internal(&other),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn a_full_queue_says_when_to_come_again_and_a_late_call_is_a_timeout() {
        let busy = inference::Error::Busy { waiting: 64, retry_after: 7 };
        let response = ApiError::from(Error::Inference(busy)).into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()["retry-after"], "7");
        let late = ApiError::from(Error::Expired);
        assert_eq!((late.status.as_u16(), late.code), (504, "timeout"));
        assert!(!late.into_response().headers().contains_key("retry-after"));
    }
}
