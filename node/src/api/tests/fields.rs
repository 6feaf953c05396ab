//! Fields of OpenAI's API that change answers.

use serde_json::{Value, json};

use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_tells_the_probabilities_of_its_tokens() {
    let world = World::start().await;
    let change = json!({"logprobs": true, "top_logprobs": 3});
    let (status, answer) = world.keyed_chat("ana", change.clone()).await;
    assert_eq!(status, 200, "{answer}");
    let choice = &answer["choices"][0];
    let tokens = choice["logprobs"]["content"].as_array().unwrap();
    assert_eq!(tokens.len() as u64, answer["usage"]["completion_tokens"].as_u64().unwrap());
    let mut bytes = Vec::new();
    for token in tokens {
        let number = |value: &Value| value.as_f64().unwrap();
        let top = token["top_logprobs"].as_array().unwrap();
        assert_eq!(top.len(), 3);
        // Greedy: the chosen token is the likeliest.
        assert_eq!(top[0]["logprob"], token["logprob"]);
        assert!(number(&token["logprob"]) <= 0.0);
        assert!(top.is_sorted_by(|a, b| number(&a["logprob"]) >= number(&b["logprob"])));
        let piece = token["bytes"].as_array().unwrap();
        bytes.extend(piece.iter().map(|byte| byte.as_u64().unwrap() as u8));
    }
    assert_eq!(String::from_utf8_lossy(&bytes), choice["message"]["content"].as_str().unwrap());

    let mut stream = change;
    stream["stream"] = json!(true);
    let response = world.keyed("/v1/chat/completions", "ana", &world.body(stream)).await;
    let text = response.text().await.unwrap();
    let mut streamed = Vec::new();
    for piece in text.split("\n\n").filter_map(|event| event.strip_prefix("data: {")) {
        let chunk: Value = serde_json::from_str(&format!("{{{piece}")).unwrap();
        if let Some(more) = chunk["choices"][0]["logprobs"]["content"].as_array() {
            streamed.extend(more.clone());
        }
    }
    assert_eq!(&streamed, tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completion_tells_where_its_tokens_begin() {
    let world = World::start().await;
    let body = json!({"model": "solidity", "prompt": "contract", "logprobs": 2, "max_tokens": 5,
                      "temperature": 0});
    let response = world.keyed("/v1/completions", "ana", body.to_string().as_bytes()).await;
    let answer: Value = response.json().await.unwrap();
    let probs = &answer["choices"][0]["logprobs"];
    let tokens = probs["tokens"].as_array().unwrap();
    let mut offset = 0;
    for (token, start) in tokens.iter().zip(probs["text_offset"].as_array().unwrap()) {
        assert_eq!(start, offset);
        offset += token.as_str().unwrap().chars().count();
    }
    assert_eq!(probs["token_logprobs"].as_array().unwrap().len(), tokens.len());
    assert!(probs["top_logprobs"][0].as_object().unwrap().len() <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn biases_and_penalties_change_what_is_said() {
    let world = World::start().await;
    let content = |answer: &Value| {
        answer["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
    };
    let tokenizer = world.api.serving.parts().engine.tokenizer().clone();
    let token = *tokenizer.encode("x").unwrap().last().unwrap();
    let biased = json!({"logit_bias": {token.to_string(): 100}});
    let (_, answer) = world.keyed_chat("ana", biased.clone()).await;
    let expected = tokenizer.decode(&[token; 6]);
    assert_eq!(content(&answer), expected);
    // A penalty for what was said is stronger than the same token's bias once it adds up.
    let mut penalised = biased;
    penalised["logit_bias"] = json!({token.to_string(): 30});
    penalised["frequency_penalty"] = json!(2.0);
    penalised["max_tokens"] = json!(40);
    let (status, answer) = world.keyed_chat("ana", penalised).await;
    assert_eq!(status, 200, "{answer}");
    assert_ne!(content(&answer), tokenizer.decode(&[token; 40]));
    let (status, answer) = world.keyed_chat("ana", json!({"logit_bias": {"99999999": 1}})).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("logit_bias")));
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_message_and_its_newer_names_are_read() {
    let world = World::start().await;
    let (_, plain) = world.keyed_chat("ana", json!({})).await;
    let parts =
        json!([{"type": "text", "text": "function "}, {"type": "text", "text": "transfer"}]);
    let change = json!({"messages": [{"role": "user", "content": parts}], "user": "u-1",
                        "max_tokens": null, "max_completion_tokens": 6});
    let (status, answer) = world.keyed_chat("ana", change).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["choices"], plain["choices"]);
    let image = json!([{"type": "image_url", "image_url": {"url": "x"}}]);
    let change = json!({"messages": [{"role": "user", "content": image}]});
    let (status, answer) = world.keyed_chat("ana", change).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("messages")));
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_that_cannot_be_followed_are_refused() {
    let world = World::start().await;
    for schema in [json!({"type": "no such type"}), json!({"pattern": "("}), json!(3)] {
        let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}});
        let (status, answer) = world.keyed_chat("ana", json!({"response_format": format})).await;
        assert_eq!((status, &answer["error"]["param"]), (400, &json!("response_format")));
    }
    let (status, _) =
        world.keyed_chat("ana", json!({"response_format": {"type": "grammar"}})).await;
    assert_eq!(status, 400);
}
