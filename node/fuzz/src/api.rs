//! The API's files, and what they must do with any body.

#[path = "../../src/api/choices.rs"]
mod choices;
#[path = "../../src/api/error.rs"]
pub mod error;
#[path = "../../src/api/request/mod.rs"]
pub mod request;

use self::{
    error::ApiError,
    request::{CallRequest, EmbeddingRequest, Endpoint},
};

/// Any body: it is read, or refused with a reason of bounded length.
pub fn body(data: &[u8]) {
    if let Err(error) = Endpoint::of(data) {
        refused(error);
    }
    for endpoint in [Endpoint::Chat, Endpoint::Text] {
        match CallRequest::parse(endpoint, data) {
            Ok(request) => assert!(request.sampling.stop.len() <= 4),
            Err(error) => refused(error),
        }
        match choices::split(endpoint, data) {
            Ok(bodies) => {
                assert!((1..=choices::MAX_CHOICES).contains(&bodies.len()));
                for body in bodies {
                    let _ = CallRequest::parse(endpoint, &body);
                }
            }
            Err(error) => refused(error),
        }
    }
    match EmbeddingRequest::parse(data) {
        Ok(request) => assert!((1..=64).contains(&request.input.len())),
        Err(error) => refused(error),
    }
}

fn refused(error: ApiError) {
    assert!(error.status.is_client_error(), "{error:?}");
    assert!(!error.message.is_empty() && error.body().to_string().len() < 1 << 16, "{error:?}");
}
