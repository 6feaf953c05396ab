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
        ("repetition_penalty", json!(0)),
        ("min_p", json!(1.5)),
        ("presence_penalty", json!(2.5)),
        ("frequency_penalty", json!(-3)),
        ("logit_bias", json!({"a": 1})),
        ("logit_bias", json!({"1": 200})),
        ("best_of", json!(2)),
        ("top_logprobs", json!(3)),
        ("response_format", json!({"type": "xml"})),
        ("max_tokens", json!(0)),
        ("n", json!(2)),
        ("logprobs", json!(3)),
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

#[test]
fn a_body_can_be_sent_to_one_endpoint_only() {
    let fields = [("messages", json!([{"role": "user", "content": "a"}])), ("prompt", json!("a"))];
    for with_input in [false, true] {
        for chosen in 0..4u32 {
            let mut body = json!({"model": "m"});
            for (place, (field, value)) in fields.iter().enumerate() {
                if chosen & (1 << place) != 0 {
                    body[field] = value.clone();
                }
            }
            if with_input {
                body["input"] = json!("a");
            }
            let bytes = body.to_string().into_bytes();
            let accepted: Vec<Endpoint> = [Endpoint::Chat, Endpoint::Text]
                .into_iter()
                .filter(|endpoint| CallRequest::parse(*endpoint, &bytes).is_ok())
                .chain(EmbeddingRequest::parse(&bytes).is_ok().then_some(Endpoint::Embeddings))
                .collect();
            let is_single = chosen.count_ones() + u32::from(with_input) == 1;
            assert_eq!(accepted.len(), usize::from(is_single), "{body}");
            assert!(accepted.iter().all(|endpoint| Endpoint::of(&bytes).unwrap() == *endpoint));
        }
    }
}

#[test]
fn adapters_are_read_as_lorax_writes_them() {
    let read = |change: Value| {
        chat(|body| {
            for (field, value) in change.as_object().unwrap() {
                body[field] = value.clone();
            }
        })
    };
    let one = read(json!({"adapter_id": "a/b@main", "adapter_source": "hub"})).unwrap();
    let expected = AdapterChoice::One { id: "a/b@main".into(), source: AdapterSource::Hub };
    assert_eq!(one.adapters, expected);
    let merged = json!({"merged_adapters": {"ids": ["a", "b"], "weights": [0.25, 2.0],
        "merge_strategy": "dare_ties", "density": 0.5, "majority_sign_method": "frequency"}});
    let AdapterChoice::Merged(merge) = read(merged).unwrap().adapters else { panic!() };
    assert_eq!(merge.parts, [("a".to_owned(), 0.25), ("b".to_owned(), 2.0)]);
    for wrong in [
        json!({"adapter_id": "a", "adapter_source": "s3"}),
        json!({"adapter_id": ""}),
        json!({"adapter_id": "a", "merged_adapters": {"ids": ["a"], "weights": [1.0]}}),
        json!({"merged_adapters": {"ids": ["a"], "weights": [1.0], "density": 2.0}}),
        json!({"merged_adapters": {"ids": ["a"], "weights": [1.0], "majority_sign_method": "x"}}),
        json!({"merged_adapters": {"ids": vec!["a"; 17], "weights": vec![1.0; 17]}}),
    ] {
        assert!(read(wrong.clone()).is_err(), "{wrong}");
    }
}

proptest::proptest! {
    #[test]
    fn no_body_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = CallRequest::parse(Endpoint::Chat, &bytes);
        let _ = CallRequest::parse(Endpoint::Text, &bytes);
    }
}
