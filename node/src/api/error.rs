//! Errors as OpenAI's API shows them.

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// An answer that is an error: `{"error": {"message", "type", "param", "code"}}`, and for payment
/// errors what to pay beside it.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// What a program decides on.
    pub code: &'static str,
    /// The rule and the given value, for people.
    pub message: String,
    /// The field or header that it is about.
    pub param: Option<String>,
    /// Further fields of the answer's top level; boxed, so that results stay small.
    pub details: Box<Value>,
    /// After how many seconds the same request may be accepted.
    pub retry_after: Option<u64>,
}

impl ApiError {
    /// An error with a code and a message.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            param: None,
            details: Box::default(),
            retry_after: None,
        }
    }

    /// 400: a field of the request breaks a rule.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_value", message).about(param)
    }

    /// 404: there is no such thing.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// 404: there is no such model or adapter, or it is another's: which of them is not told.
    pub fn unknown_model() -> Self {
        Self::not_found("model_not_found", "model is unknown").about("model")
    }

    /// 404: as [`Self::unknown_model`], of an adapter that was named as one.
    pub fn unknown_adapter() -> Self {
        Self::not_found("adapter_not_found", "adapter is unknown").about("adapter_id")
    }

    /// 429: a bounded queue is full, and after so many seconds it probably is not.
    pub fn overloaded(message: impl Into<String>, retry_after: u64) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", message);
        Self { retry_after: Some(retry_after.max(1)), ..error }
    }

    /// 504: the call's deadline passed; nothing was charged.
    pub fn expired() -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "the call took too long")
    }

    /// 503: a part of the node is not ready.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }

    /// 500: the node failed. The cause goes to the log, not to the caller.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(target: "node::api", %cause, "call failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "the node failed")
    }

    /// Names the field or header.
    pub fn about(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Adds fields (a JSON object) beside `error`.
    pub fn with(mut self, details: Value) -> Self {
        self.details = Box::new(details);
        self
    }

    fn kind(&self) -> &'static str {
        match self.status {
            StatusCode::PAYMENT_REQUIRED => "payment_error",
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            StatusCode::TOO_MANY_REQUESTS if self.code == "insufficient_quota" => {
                "insufficient_quota"
            }
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        }
    }

    /// The answer's body.
    pub fn body(&self) -> Value {
        let mut body = match &*self.details {
            Value::Object(fields) => fields.clone(),
            _ => serde_json::Map::new(),
        };
        body.insert(
            "error".into(),
            json!({
                "message": self.message,
                "type": self.kind(),
                "param": self.param,
                "code": self.code,
            }),
        );
        Value::Object(body)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
