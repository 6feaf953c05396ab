//! Chat templates: Jinja as `transformers` runs it.

mod python;

use std::time::SystemTime;

use minijinja::{
    Environment, Error as JinjaError, ErrorKind, Value, context, syntax::SyntaxConfig,
};

use super::Message;
use crate::{Error, Result};

/// Steps that a template may take.
const FUEL: u64 = 10_000_000;
/// Largest template, in bytes.
const MAX_TEMPLATE_BYTES: usize = 1 << 20;

/// A value inside a template. Deserialises from JSON and keeps the order of keys.
pub use minijinja::Value as TemplateValue;

/// What a chat template is given.
#[derive(Clone, Debug)]
pub struct ChatInput {
    /// The turns: a list of objects with `role`, `content` and what else the template reads.
    pub messages: TemplateValue,
    /// Descriptions of tools, if there are any.
    pub tools: Option<TemplateValue>,
    /// Whether to end with the beginning of the assistant's turn.
    pub generation_prompt: bool,
    /// Name of the template; `default` unless the folder has several.
    pub template: String,
    /// Other variables, by name, such as `enable_thinking`.
    pub variables: Vec<(String, TemplateValue)>,
    /// What templates that ask for the date are told, in UTC.
    pub now: SystemTime,
}

impl ChatInput {
    /// The turns of a conversation, now, ready for the assistant's answer.
    pub fn new(messages: &[Message]) -> Self {
        let turn =
            |message: &Message| context! { role => &message.role, content => &message.content };
        Self {
            messages: messages.iter().map(turn).collect(),
            tools: None,
            generation_prompt: true,
            template: "default".into(),
            variables: Vec::new(),
            now: SystemTime::now(),
        }
    }
}

/// A folder's templates.
#[derive(Debug)]
pub(super) struct Templates {
    /// By name; not compiled, because a folder is of use without its template.
    sources: Vec<(String, String)>,
    /// `bos_token` and the like.
    tokens: [(&'static str, String); 4],
}

fn failed(error: &JinjaError) -> Error {
    // The chain ends with what the template itself said.
    let mut text = format!("chat template: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    Error::Tokenizer(text)
}

impl Templates {
    pub(super) const fn new(
        sources: Vec<(String, String)>,
        tokens: [(&'static str, String); 4],
    ) -> Self {
        Self { sources, tokens }
    }

    /// The text of a conversation.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if there is no such template, or it is wrong, refuses the conversation
    /// or takes too many steps.
    pub(super) fn render(&self, input: &ChatInput) -> Result<String> {
        let source = self.sources.iter().find(|(name, _)| *name == input.template);
        let (name, source) = source.ok_or_else(|| {
            Error::Tokenizer(format!("there is no chat template {:?}", input.template))
        })?;
        if source.len() > MAX_TEMPLATE_BYTES {
            return Err(Error::Tokenizer(format!("a template of {} bytes", source.len())));
        }
        let source = without_generation_tags(source);
        let mut environment = environment(input.now);
        environment.add_template(name, &source).map_err(|error| failed(&error))?;
        let mut values: Vec<(String, Value)> = input.variables.clone();
        let mut set = |name: &str, value: Value| values.push((name.to_owned(), value));
        for (name, text) in self.tokens.iter().filter(|(_, text)| !text.is_empty()) {
            set(name, text.as_str().into());
        }
        set("messages", input.messages.clone());
        set("tools", input.tools.clone().unwrap_or(Value::from(())));
        set("documents", Value::from(()));
        set("add_generation_prompt", input.generation_prompt.into());
        let template = environment.get_template(name).map_err(|error| failed(&error))?;
        template.render(Value::from_pairs(values)).map_err(|error| failed(&error))
    }
}

fn environment(now: SystemTime) -> Environment<'static> {
    let mut environment = Environment::new();
    // As `transformers` sets them.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the delimiters are the usual ones"));
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", move |format: &str| python::strftime(format, now));
    environment.add_filter("tojson", python::to_json);
    environment
}

/// What templates call to refuse a conversation.
fn raise_exception(what: String) -> std::result::Result<String, JinjaError> {
    Err(JinjaError::new(ErrorKind::InvalidOperation, what))
}

/// `{% generation %}` and `{% endgeneration %}` mark the assistant's words for training and put
/// nothing into the text: they become a block that is always taken.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}") else { break };
        let inner = &rest[start + 2..start + length];
        let word = inner.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
        out.push_str(&rest[..start + 2]);
        match word {
            "generation" => out.push_str(&inner.replacen("generation", "if true", 1)),
            "endgeneration" => out.push_str(&inner.replacen("endgeneration", "endif", 1)),
            _ => out.push_str(inner),
        }
        out.push_str("%}");
        rest = &rest[start + length + 2..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn render(template: &str, messages: &str) -> Result<String> {
        let tokens = [
            ("bos_token", "<s>".to_owned()),
            ("eos_token", String::new()),
            ("unk_token", String::new()),
            ("pad_token", String::new()),
        ];
        let templates = Templates::new(vec![("default".into(), template.into())], tokens);
        let now = UNIX_EPOCH + Duration::from_secs(951_827_696);
        let messages = serde_json::from_str(messages).unwrap();
        templates.render(&ChatInput { messages, now, ..ChatInput::new(&[]) })
    }

    #[test]
    fn functions_and_blocks_of_transformers_work() {
        let cases = [
            (
                "{{ strftime_now('%d %b %Y, %A %j %H:%M:%S %p %y %-d%%') }}",
                "29 Feb 2000, Tuesday 060 12:34:56 PM 00 29%",
            ),
            (
                "{% for m in [1, 2, 3] %}{% if m == 2 %}{% continue %}{% endif %}{{ m }}{% endfor %}",
                "13",
            ),
            ("a {%- generation %}b{% endgeneration -%} c", "abc"),
            ("  {% if true %}\n x\n  {% endif %}\n", " x\n"),
            ("{{ 'a-b'.split('-')[1].upper() }}{{ ' x '.strip() }}", "Bx"),
            ("{{ messages | tojson }}", r#"[{"role": "u", "content": "<é\n'\"&>"}]"#),
            (
                "{{ {'a': [], 'b': {}, 'c': [1, 2.5, none]} | tojson(indent=2) }}",
                "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    2.5,\n    null\n  ]\n}",
            ),
            ("{{ bos_token }}{% if eos_token is defined %}x{% endif %}", "<s>"),
            (
                "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
                "1",
            ),
            ("{{ messages[-1]['content'][1:3] }}", "é\n"),
            (
                "{% for k, v in messages[0].items() %}{{ k }}={{ v | length }};{% endfor %}",
                "role=1;content=7;",
            ),
            ("{{ messages[0].get('tools', 'no') }}", "no"),
        ];
        for (template, expected) in cases {
            let messages = r#"[{"role": "u", "content": "<é\n'\"&>"}]"#;
            assert_eq!(render(template, messages).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn what_a_template_refuses_is_said() {
        let error = render("{{ raise_exception('roles must alternate') }}", "[]");
        assert!(error.unwrap_err().to_string().contains("roles must alternate"));
        for wrong in ["{% if %}", "{{ nothing.at.all }}", "{{ strftime_now('%Q') }}", "{{ x() }}"] {
            assert!(matches!(render(wrong, "[]"), Err(Error::Tokenizer(_))), "{wrong}");
        }
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}";
        assert!(render(endless, "[]").is_err());
    }
}
