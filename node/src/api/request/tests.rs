use serde_json::json;

use super::*;

fn chat(change: impl FnOnce(&mut Value)) -> Result<CallRequest, ApiError> {
    let mut body = json!({
        "model": "solidity",
        "messages": [{"role": "user", "content": "hello"}],
    });
    change(&mut body);
    CallRequest::parse(Endpoint::Chat, body.to_string().as_bytes())
}

#[test]
fn a_plain_chat_has_the_documented_defaults() {
    let request = chat(|_| {}).unwrap();
    assert_eq!(request.model, "solidity");
    assert_eq!((request.max_tokens, request.seed), (None, None));
    assert_eq!(request.sampling.temperature, 1.0);
    assert_eq!(request.sampling.top_p, 1.0);
    assert!(!request.stream);
}

#[test]
fn values_out_of_bounds_name_their_field() {
    let cases = [
        ("temperature", json!(2.5)),
        ("temperature", json!(-0.1)),
        ("top_p", json!(0.0)),
        ("top_p", json!(1.5)),
        ("repetition_penalty", json!(0.5)),
        ("max_tokens", json!(0)),
        ("n", json!(2)),
        ("logprobs", json!(true)),
        ("tools", json!([{"type": "function"}])),
        ("stop", json!(["a", "b", "c", "d", "e"])),
        ("stop", json!("")),
        ("messages", json!([])),
        ("messages", json!([{"role": "root", "content": ""}])),
    ];
    for (field, value) in cases {
        let error = chat(|body| body[field] = value.clone()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(field), "{value}");
        assert_eq!(error.status.as_u16(), 400);
    }
}

#[test]
fn values_of_the_wrong_type_are_refused() {
    for (field, value) in [
        ("model", json!(3)),
        ("seed", json!(-1)),
        ("max_tokens", json!("ten")),
        ("stream", json!("yes")),
        ("messages", json!("hello")),
    ] {
        assert!(chat(|body| body[field] = value.clone()).is_err(), "{field}");
    }
}

#[test]
fn neutral_values_of_unsupported_fields_are_accepted() {
    let request = chat(|body| {
        body["n"] = json!(1);
        body["frequency_penalty"] = json!(0);
        body["logit_bias"] = json!({});
        body["user"] = json!("someone");
    });
    assert!(request.is_ok());
}

proptest::proptest! {
    #[test]
    fn no_body_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = CallRequest::parse(Endpoint::Chat, &bytes);
        let _ = CallRequest::parse(Endpoint::Text, &bytes);
    }
}
