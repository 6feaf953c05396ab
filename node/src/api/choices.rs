//! Several answers to one request: each is a call of its own.
//!
//! A record is of one answer. So for a caller with a key, whose vouchers the node signs, a request
//! for several is made into as many requests for one, and each of those is what is signed.

use serde_json::{Value, json};

use super::{
    error::ApiError,
    request::{Endpoint, json as parse},
};

/// Most answers to one request.
pub(super) const MAX_CHOICES: usize = 16;

/// The bodies of the calls that a request is made of, in the order of its choices.
///
/// # Errors
/// 400 if it is not JSON, or asks for none or too many.
pub(super) fn split(endpoint: Endpoint, bytes: &[u8]) -> Result<Vec<Vec<u8>>, ApiError> {
    let body = parse(bytes)?;
    let count = count(&body)?;
    let prompts = prompts(endpoint, &body)?;
    if count == 1 && prompts.is_none() {
        return Ok(vec![bytes.to_vec()]);
    }
    let prompts = prompts.map_or_else(|| vec![body["prompt"].clone()], <[Value]>::to_vec);
    let choices = prompts.len() * count;
    if !(1..=MAX_CHOICES).contains(&choices) {
        let message = format!("{choices} choices, not 1 to {MAX_CHOICES}");
        return Err(ApiError::invalid(if count > 1 { "n" } else { "prompt" }, message));
    }
    let seed = body["seed"].as_u64();
    let mut bodies = Vec::with_capacity(choices);
    for prompt in prompts {
        for _ in 0..count {
            let mut one = body.clone();
            let fields = one.as_object_mut().expect("it has fields: n or a prompt");
            fields.remove("n");
            if endpoint == Endpoint::Text {
                fields.insert("prompt".into(), prompt.clone());
            }
            if let Some(seed) = seed {
                let seed = seed.wrapping_add(bodies.len() as u64);
                fields.insert("seed".into(), json!(seed));
            }
            bodies.push(one.to_string().into_bytes());
        }
    }
    Ok(bodies)
}

fn count(body: &Value) -> Result<usize, ApiError> {
    let count = match &body["n"] {
        Value::Null => Some(1),
        n => n.as_u64().and_then(|n| usize::try_from(n).ok()),
    };
    count.filter(|count| (1..=MAX_CHOICES).contains(count)).ok_or_else(|| {
        let shown: String = body["n"].to_string().chars().take(64).collect();
        ApiError::invalid("n", format!("n {shown} is not 1 to {MAX_CHOICES}"))
    })
}

/// The prompts, if there are several.
fn prompts(endpoint: Endpoint, body: &Value) -> Result<Option<&[Value]>, ApiError> {
    match (&body["prompt"], endpoint) {
        (Value::Array(prompts), Endpoint::Text) if prompts.len() != 1 => {
            if prompts.iter().all(Value::is_string) {
                return Ok(Some(prompts));
            }
            Err(ApiError::invalid("prompt", "prompt is not a text or a list of texts"))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_text(body: Value) -> Result<Vec<Value>, ApiError> {
        let bodies = split(Endpoint::Text, body.to_string().as_bytes())?;
        Ok(bodies.iter().map(|body| serde_json::from_slice(body).unwrap()).collect())
    }

    #[test]
    fn one_choice_is_the_request_byte_for_byte() {
        let body = br#"{"model": "m",   "prompt": "a", "n": 1}"#;
        assert_eq!(split(Endpoint::Text, body).unwrap(), [body]);
    }

    #[test]
    fn each_choice_of_each_prompt_is_a_request_with_a_seed_of_its_own() {
        let bodies =
            split_text(json!({"prompt": ["a", "b"], "n": 2, "seed": 7, "top_k": 3})).unwrap();
        let expected = [("a", 7), ("a", 8), ("b", 9), ("b", 10)]
            .map(|(prompt, seed)| json!({"prompt": prompt, "seed": seed, "top_k": 3}));
        assert_eq!(bodies, expected);
    }

    #[test]
    fn no_and_too_many_choices_are_refused() {
        for body in [
            json!({"prompt": "a", "n": 0}),
            json!({"prompt": "a", "n": 17}),
            json!({"prompt": "a", "n": 1.5}),
            json!({"prompt": []}),
            json!({"prompt": vec!["a"; 9], "n": 2}),
            json!({"prompt": [[1, 2], [3]]}),
        ] {
            assert!(split_text(body.clone()).is_err(), "{body}");
        }
    }
}
