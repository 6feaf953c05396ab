//! The form that an answer must have.

use serde_json::Value;

use crate::api::error::ApiError;

/// The form that an answer must have.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ResponseFormat {
    /// Any text.
    #[default]
    Text,
    /// A JSON value that the schema allows.
    Json(Value),
}

pub(super) fn read(format: Option<Value>) -> Result<ResponseFormat, ApiError> {
    let wrong = |message: &str| ApiError::invalid("response_format", message);
    let Some(mut format) = format.filter(|format| !format.is_null()) else {
        return Ok(ResponseFormat::Text);
    };
    match format["type"].as_str() {
        Some("text") => Ok(ResponseFormat::Text),
        Some("json_object") => Ok(ResponseFormat::Json(serde_json::json!({ "type": "object" }))),
        Some("json_schema") => {
            // Indexing for a change panics where the value is no object.
            match format.pointer_mut("/json_schema/schema").map(Value::take) {
                None | Some(Value::Null) => {
                    Err(wrong("response_format.json_schema.schema is missing"))
                }
                Some(schema) => Ok(ResponseFormat::Json(schema)),
            }
        }
        _ => Err(wrong("response_format.type is not text, json_object or json_schema")),
    }
}
