//! Bodies, addresses and headers that nobody means well: each is refused with a reason, none is
//! charged, and the node goes on.

use std::{
    panic,
    sync::atomic::{AtomicUsize, Ordering},
};

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::world::{World, bearer};
use crate::api::request::{CallRequest, EmbeddingRequest, Endpoint};

const POSTS: [&str; 5] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/load_lora_adapter",
    "/v1/unload_lora_adapter",
];

/// Panics on any thread since [`count_panics`].
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// A panic in a handler only closes its connection, so it is counted where it happens.
fn count_panics() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let place = info.location().map_or("", |place| place.file());
        // Tests beside this one may fail for reasons of their own.
        if !place.contains("/tests/") {
            PANICS.fetch_add(1, Ordering::SeqCst);
        }
        before(info);
    }));
}

/// A body that each endpoint takes.
fn good(path: &str) -> Value {
    match path {
        "/v1/chat/completions" => json!({
            "model": "solidity", "messages": [{"role": "user", "content": "function"}],
            "max_tokens": 2, "temperature": 0, "top_p": 1, "top_k": 0, "min_p": 0, "seed": 1,
            "repetition_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0,
            "logit_bias": {"5": 1}, "stop": ["x"], "logprobs": true, "top_logprobs": 2, "n": 1,
            "stream": false, "stream_options": {"include_usage": true}, "user": "u",
            "response_format": {"type": "text"},
        }),
        "/v1/completions" => json!({
            "model": "solidity", "prompt": "function", "max_tokens": 2, "logprobs": 1,
        }),
        "/v1/embeddings" => json!({
            "model": "auto", "input": ["function"], "encoding_format": "float", "user": "u",
        }),
        "/v1/load_lora_adapter" => json!({
            "lora_name": "there-is-none", "lora_path": "nowhere", "source": "local", "owner": "ana",
        }),
        _ => json!({ "lora_name": "there-is-none", "lora_int_id": 1, "owner": "ana" }),
    }
}

/// Values of every type and of sizes at which something may give way.
fn wrong() -> Vec<Value> {
    let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
    let deep_map = (0..60).fold(json!(1), |inner, _| json!({"a": inner, "type": "text"}));
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(1e308),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(0.1),
        json!(""),
        json!("\u{0}\u{fffd}\u{202e}"),
        json!("../../../../etc/passwd"),
        json!("http://127.0.0.1:1/"),
        json!("x".repeat(3000)),
        json!([]),
        json!({}),
        json!([null]),
        json!([{}]),
        json!([[]]),
        json!([1, "a", null, {}]),
        json!({"type": "text"}),
        json!({"type": "json_object"}),
        json!({"type": "json_schema"}),
        json!({"type": "json_schema", "json_schema": 1}),
        json!({"type": "json_schema", "json_schema": "s"}),
        json!({"type": "json_schema", "json_schema": ["schema"]}),
        json!({"type": "json_schema", "json_schema": {"schema": 5}}),
        json!({"role": 1, "content": 1}),
        json!([{"role": "user", "content": null}]),
        json!([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]),
        json!([{"role": "tool", "content": "x"}]),
        json!(vec![json!({"role": "user", "content": ""}); 257]),
        json!({"18446744073709551616": 1}),
        json!({"1": "a", "-1": 1}),
        json!({"ids": ["a"], "weights": []}),
        json!({"ids": vec!["x"; 99], "weights": vec![1e38; 99], "merge_strategy": "ties"}),
        deep,
        deep_map,
    ]
}

/// Schemas that are wrong, endless, or much larger than they look.
fn schemas() -> Vec<Value> {
    let pattern = |text: &str| json!({"type": "object", "properties": {"a": {"type": "string", "pattern": text}}, "required": ["a"]});
    let wide: serde_json::Map<String, Value> =
        (0..150).map(|at| (format!("p{at}"), json!({"type": "string"}))).collect();
    // The tests' model has no end token: an answer that is complete too soon cannot go on.
    let last = json!({"type": "array", "minItems": 99});
    // Each level twice: 2^6 of the innermost.
    let nested = (0..6).fold(
        last.clone(),
        |inner, _| json!({"type": "object", "anyOf": [inner], "properties": {"a": inner}}),
    );
    let deep = (0..60).fold(last, |inner, _| json!({"anyOf": [inner]}));
    let all = (0..12).fold(json!({"type": "object"}), |inner, at| {
        json!({"allOf": [inner, {"oneOf": [{"required": [format!("a{at}")]}, {"required": [format!("b{at}")]}]}]})
    });
    vec![
        json!({"$ref": "#"}),
        json!({"$ref": "#/nowhere"}),
        json!({"$ref": "http://127.0.0.1:1/schema"}),
        json!({"$ref": "file:///etc/passwd"}),
        json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
        json!({"allOf": [{"$ref": "#"}]}),
        pattern("("),
        pattern("((((a{1,99}){1,99}){1,99}){1,99})"),
        pattern("(a|b|ab)*(a|b|ab)*(a|b|ab)*c{5000}"),
        pattern("(?=a)\\1"),
        pattern("[\\s\\S]{0,100000000}"),
        json!({"type": "string", "minLength": 1_000_000_000}),
        json!({"type": "string", "minLength": 5, "maxLength": 1}),
        json!({"type": "array", "items": {"type": "integer"}, "minItems": 1_000_000_000}),
        json!({"type": "array", "prefixItems": vec![json!({}); 200], "minItems": 200}),
        json!({"type": "integer", "minimum": 1e300, "maximum": -1e300}),
        json!({"type": "number", "multipleOf": 1e-300}),
        json!({"type": "integer", "multipleOf": 0}),
        json!({"enum": []}),
        json!({"enum": vec!["x".repeat(20); 100]}),
        json!({"const": {"a": [1, {"b": null}]}}),
        json!({"type": "object", "minProperties": 99, "maxProperties": 1}),
        json!({"type": "object", "properties": wide, "additionalProperties": false}),
        json!({"type": "nothing"}),
        json!({"type": 5, "properties": 5, "required": 5, "items": "x"}),
        json!({"not": {}}),
        json!({"x-guidance": {"whitespace_pattern": "(", "lenient": true}}),
        json!(true),
        json!(false),
        json!([]),
        nested,
        deep,
        all,
    ]
}

impl World {
    /// Posts as an administrator or as a caller who pays; then the answer.
    async fn hostile(&self, path: &str, body: &[u8]) -> Response {
        let who = if path.contains("lora_adapter") { "root" } else { "ana" };
        let request = self.post(path, body).header("authorization", bearer(who));
        let shown = || String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        request.send().await.unwrap_or_else(|error| panic!("{path} {}: {error}", shown()))
    }

    /// It is refused, with a reason; or, if `may_pass`, answered.
    async fn refuses(&self, path: &str, body: &[u8], may_pass: bool) {
        let response = self.hostile(path, body).await;
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let shown = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        if may_pass && status == 200 {
            return;
        }
        assert!((400..500).contains(&status), "{path} {shown}: {status} {text}");
        assert!(text.len() < 8192, "{path} {shown}: an error of {} bytes", text.len());
        let error: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"));
        let said =
            |field: &str| error["error"][field].as_str().is_some_and(|text| !text.is_empty());
        assert!(said("message") && said("code") && said("type"), "{path} {shown}: {text}");
    }

    /// It is alive, and nothing is held for what was refused.
    async fn is_well(&self) {
        assert_eq!(PANICS.load(Ordering::SeqCst), 0, "panics");
        assert_eq!(self.get("/health").await.0, 200);
        assert_eq!(self.account().await.reserved, 0);
        let (status, answer) = self.keyed_chat("ana", json!({})).await;
        assert_eq!(status, 200, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_or_too_large_or_too_deep_is_refused() {
    count_panics();
    let world = World::start().await;
    let good_chat = good(POSTS[0]).to_string();
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(500), close.repeat(500));
    let mut bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "{",
        "}",
        "[",
        "null",
        "1",
        "\"",
        "\"text\"",
        "[]",
        "{}",
        "{\"model\"}",
        "NaN",
        "{\"model\": nul}",
        "{\"model\": \"\\ud800\"}",
        "{\"a\": 1e999}",
        "[1,]",
        "\u{feff}{}",
        "{\"messages\": [[[[[",
        "-",
        "{\"\": {\"\": {}}}",
    ]
    .into_iter()
    .map(Into::into)
    .collect();
    bodies.extend([
        vec![0; 4096],
        vec![0xff; 4096],
        vec![b'['; 4096],
        b"{\"model\": \"\xff\"}".to_vec(),
        deep("[", "]").into(),
        format!("{{\"model\": {}}}", deep("[", "]")).into(),
        format!("{{\"messages\": {}}}", deep("{\"a\":", "}")).into(),
        good_chat[..good_chat.len() - 1].into(),
        format!("{good_chat}{good_chat}").into(),
    ]);
    for path in POSTS {
        for body in &bodies {
            world.refuses(path, body, false).await;
        }
        // Over the bound of 4096 bytes, however far.
        for size in [4097, 1 << 16, 8 << 20] {
            let mut body = good(path).to_string().into_bytes();
            body.resize(size, b' ');
            let response = world.post(path, &body).header("authorization", bearer("root"));
            // The node may close the connection before all has been sent.
            match response.send().await {
                Ok(response) => assert_eq!(response.status(), 413, "{path} {size}"),
                Err(error) => assert!(size > 1 << 16, "{path} {size}: {error}"),
            }
        }
    }
    world.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_wrong_types_and_sizes_are_refused() {
    count_panics();
    let world = World::start().await;
    for path in POSTS {
        let good = good(path);
        let mut fields: Vec<&str> = good.as_object().unwrap().keys().map(String::as_str).collect();
        if path.ends_with("completions") {
            fields.extend([
                "adapter_id",
                "adapter_source",
                "merged_adapters",
                "response_format",
                "prompt",
                "messages",
                "tools",
                "best_of",
            ]);
        }
        for field in fields {
            for value in wrong() {
                let mut body = good.clone();
                body[field] = value;
                // Some are what the field may be; none of them is a failure.
                world.refuses(path, body.to_string().as_bytes(), true).await;
            }
            let mut without = good.clone();
            without.as_object_mut().unwrap().remove(field);
            world.refuses(path, without.to_string().as_bytes(), true).await;
        }
    }
    world.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_that_cannot_be_kept_are_refused_soon() {
    count_panics();
    let world = World::start().await;
    for schema in schemas() {
        let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}});
        let body = world.body(json!({"response_format": format}));
        let work = world.refuses(POSTS[0], &body, true);
        let soon = tokio::time::timeout(std::time::Duration::from_secs(60), work).await;
        assert!(soon.is_ok(), "{}", String::from_utf8_lossy(&body));
    }
    world.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_and_headers_that_mean_nothing_are_refused() {
    count_panics();
    let world = World::start().await;
    let long = "9".repeat(5000);
    let paths = [
        "/v1/models/%ff%00".to_owned(),
        "/v1/models/..%2f..%2fetc%2fpasswd".into(),
        format!("/v1/models/{long}"),
        "/v1/rows/0x".into(),
        "/v1/rows/%00".into(),
        format!("/v1/rows/{long}"),
        "/v1/records/zz".into(),
        format!("/v1/records/0x{}", "0".repeat(63)),
        "/v1/batches?limit=-1".into(),
        "/v1/batches?after=99999999999999999999".into(),
        "/v1/batches?limit=1&limit=2".into(),
        "/v1/batches?what=1".into(),
        "/v1/earnings/-1".into(),
        "/v1/earnings/4294967296".into(),
        "/v1/earnings?after=x".into(),
        format!("/v1/earnings?{long}"),
        "/v1/nothing".into(),
        "/%".into(),
    ];
    for path in &paths {
        let (status, text) = world.get(path).await;
        assert!((400..500).contains(&status), "{path}: {status} {text}");
        // Some say the unknown name again, twice at most.
        assert!(!text.is_empty() && text.len() < 2 * path.len() + 1024, "{path}: {text}");
    }
    for (method, path) in [
        (Method::GET, POSTS[0]),
        (Method::DELETE, POSTS[3]),
        (Method::PUT, "/v1/models"),
        (Method::POST, "/metrics"),
        (Method::PATCH, "/v1/earnings"),
    ] {
        let request = world.http.request(method.clone(), format!("{}{path}", world.url));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 405, "{method} {path}");
        let error: Value = response.json().await.unwrap();
        assert_eq!(error["error"]["code"], "method_not_allowed", "{method} {path}");
    }
    let body = world.body(json!({}));
    for name in ["x-payment", "x-channel", "authorization"] {
        for value in [&b"\xff\xfe"[..], b"", b"Bearer \xff", &[b'A'; 6000], b"e30=", b"0x0g"] {
            let request = world.post(POSTS[0], &body).header(name, value);
            let status = request.send().await.unwrap().status().as_u16();
            assert!((400..500).contains(&status), "{name} {value:?}: {status}");
        }
    }
    world.is_well().await;
}

/// Any JSON, most of it with the names of fields.
fn any_json() -> impl Strategy<Value = Value> {
    let names = [
        "model",
        "messages",
        "role",
        "content",
        "type",
        "text",
        "prompt",
        "input",
        "n",
        "stop",
        "logit_bias",
        "response_format",
        "json_schema",
        "schema",
        "merged_adapters",
        "ids",
        "weights",
        "adapter_id",
        "stream_options",
        "max_tokens",
        "dimensions",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(names.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        let name = prop_oneof![3 => prop::sample::select(names.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,6}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

#[test]
fn any_body_is_read_or_refused() {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    for _ in 0..4000 {
        let body = any_json().new_tree(&mut runner).unwrap().current().to_string().into_bytes();
        let _ = Endpoint::of(&body);
        for endpoint in [Endpoint::Chat, Endpoint::Text] {
            let _ = CallRequest::parse(endpoint, &body);
            let _ = crate::api::choices::split(endpoint, &body);
        }
        let _ = EmbeddingRequest::parse(&body);
        // Cut and turned bytes, which mostly are no JSON any more.
        let cut = &body[..body.len() / 2];
        let _ = (Endpoint::of(cut), CallRequest::parse(Endpoint::Chat, cut));
    }
}
