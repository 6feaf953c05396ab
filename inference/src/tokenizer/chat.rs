//! Chat templates: Jinja as `transformers` runs it.

mod budget;
mod python;
mod reads;

use std::{
    io::{self, Write},
    time::SystemTime,
};

use minijinja::{
    Environment, Error as JinjaError, ErrorKind, Value, context, syntax::SyntaxConfig,
};

use self::budget::Budget;
use super::{MAX_TEXT_BYTES, Message};
use crate::{Error, Result};

/// Steps that a template may take.
const FUEL: u64 = 4_000_000;
/// Largest template, in bytes.
const MAX_TEMPLATE_BYTES: usize = 1 << 17;

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

    /// The text of a conversation, at most [`MAX_TEXT_BYTES`].
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if there is no such template, or it is wrong, refuses the conversation,
    /// or takes too many steps or too much memory.
    pub(super) fn render(&self, input: &ChatInput) -> Result<String> {
        let source = self.sources.iter().find(|(name, _)| *name == input.template);
        let (name, source) = source.ok_or_else(|| {
            Error::Tokenizer(format!("there is no chat template {:?}", input.template))
        })?;
        if source.len() > MAX_TEMPLATE_BYTES {
            return Err(Error::Tokenizer(format!("a template of {} bytes", source.len())));
        }
        let values = self.values(input);
        // A template cannot assign to the last: it is not a variable.
        let inputs: Vec<&str> =
            values.iter().map(|(name, _)| name.as_str()).chain(["self"]).collect();
        let source = reads::counted(&without_generation_tags(source), &inputs)
            .map_err(|error| Error::Tokenizer(format!("chat template: {error}")))?;
        let mut environment = environment(input.now);
        let budget = Budget::new(values.iter().map(|(_, value)| value));
        budget.map_err(|error| failed(&error))?.install(&mut environment);
        environment.add_template(name, &source).map_err(|error| failed(&error))?;
        let template = environment.get_template(name).map_err(|error| failed(&error))?;
        let mut text = Bounded(Vec::new());
        let rendered = template.render_captured_to(Value::from_pairs(values), &mut text).map(drop);
        rendered.map_err(|error| failed(&error))?;
        String::from_utf8(text.0).map_err(|error| Error::Tokenizer(error.to_string()))
    }

    /// What the template is given, by name.
    fn values(&self, input: &ChatInput) -> Vec<(String, Value)> {
        let mut values: Vec<(String, Value)> = input.variables.clone();
        let mut set = |name: &str, value: Value| values.push((name.to_owned(), value));
        for (name, text) in self.tokens.iter().filter(|(_, text)| !text.is_empty()) {
            set(name, text.as_str().into());
        }
        set("messages", input.messages.clone());
        set("tools", input.tools.clone().unwrap_or(Value::from(())));
        set("documents", Value::from(()));
        set("add_generation_prompt", input.generation_prompt.into());
        values
    }
}

/// A text that takes no more than can be encoded.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_TEXT_BYTES {
            return Err(io::Error::other(format!("more than {MAX_TEXT_BYTES} bytes of text")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn environment(now: SystemTime) -> Environment<'static> {
    let mut environment = Environment::new();
    // As `transformers` sets them.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the delimiters are the usual ones"));
    environment.set_fuel(Some(FUEL));
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

    #[test]
    fn memory_is_bounded_however_a_template_makes_it() {
        let double = |step: &str| {
            format!(
                "{{% set x = 'abcdefgh' %}}{{% set ns = namespace(x='abcdefgh', l=[1]) %}}{{% for i in range(90) %}}{step}{{% endfor %}}{{{{ x | length }}}}"
            )
        };
        let big = "{% set x = 'abcdefgh' * 1024 %}{% set x = x * 1024 %}";
        let hostile = [
            double("{% set ns.x = ns.x ~ ns.x %}"),
            double("{% set ns.x = ns['x'] + ns.x %}"),
            double("{% set ns.x = ns.x | replace('a', ns.x) %}"),
            double("{% set ns.x = ns.x.replace('', ns.x) %}"),
            double("{% set ns.x = [ns.x, ns.x] | join %}"),
            double("{% set ns.x = ns.x.join([ns.x, ns.x, ns.x]) %}"),
            double("{% set ns.x = '%s%s' | format(ns.x, ns.x) %}"),
            double("{% set ns.x = '{0}{0}'.format(ns.x) %}"),
            double("{% set ns.l = ns.l + ns.l %}"),
            double("{% set ns.l = [ns.l, ns.l] %}"),
            double("{% set ns.l = {'a': ns.l, 'b': ns.l} %}"),
            double("{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}"),
            double("{% set ns.x = ns.x * 1000 %}"),
            double("{% set ns.l = ns.l * 1000 %}"),
            double("{% set ns.l = ns.l + [range(99999) | list] %}"),
            "{% macro f(x, n) %}{{ f(x ~ x, n - 1) if n else x }}{% endmacro %}{{ f('abcdefgh', 60) }}".into(),
            "{% macro f(x) %}{{ x }}{{ x }}{% endmacro %}{% for i in range(9) %}{% set x = f(f(f(f(f(f('abcdefgh')))))) %}{% endfor %}{% set x %}{{ f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f('abcdefgh')))))))))))))))))))))))))))))))) }}{% endset %}".into(),
            "{% for x in ['abcdefgh'] recursive %}{{ loop([x ~ x]) }}{% endfor %}".into(),
            "{% for x in [1, 'abcdefgh', 1] recursive %}{% if loop.previtem == 1 %}-{% else %}{{ loop([1, loop.previtem ~ loop.previtem, 1]) }}{% endif %}{% endfor %}{{ loop }}".into(),
            "{% with x = 'a' * 1000 %}{% with y = x ~ x %}{{ y * 1000 * 1000 }}{% endwith %}{% endwith %}".into(),
            "{{ 'abcdefgh' * 100000000 }}".into(),
            "{{ ('a' ~ 'b') * 1000 }}".into(),
            "{{ 'a' * range(9) | length * 999999 }}".into(),
            "{{ '%99999999d' | format(1) }}".into(),
            "{{ 'a' | indent(999999999, true) }}".into(),
            "{{ 'a' | indent(width=999999999) }}".into(),
            "{{ [1] | batch(99999999, 'x') }}".into(),
            format!("{big}{{{{ range(9999) | join(x) }}}}"),
            format!("{big}{{% for i in range(99999) %}}{{{{ x }}}}{{% endfor %}}"),
            format!("{big}{{% set y %}}{{% for i in range(99999) %}}{{{{ x }}}}{{% endfor %}}{{% endset %}}"),
            format!("{{% set y %}}{{% for i in range(99999) %}}{{% for j in range(99999) %}}{}{{% endfor %}}{{% endfor %}}{{% endset %}}", "long text ".repeat(500)),
            format!("{{% for i in range(99999) %}}{}{{% endfor %}}", "long text ".repeat(500)),
            "{{ debug() }}".into(),
            "{{ __read('x', 0) }}".into(),
            "{{ 'a' ~ é }}".into(),
            "{{ 'unended }}".into(),
            "{{ (( }}".into(),
            "{# ".into(),
            "{% raw %}".into(),
        ];
        for template in hostile {
            let shown = template.chars().take(200).collect::<String>();
            match render(&template, "[]") {
                Err(Error::Tokenizer(_)) => {}
                other => panic!("{shown}: {:?}", other.map(|text| text.len())),
            }
        }
    }

    #[test]
    fn counting_changes_no_text() {
        let long = "Some words of a system's prompt, {and} braces } more than is short. ".repeat(4);
        let cases = [
            (format!("{long}{{{{ 1 }}}}  {long}\n"), format!("{long}1  {long}")),
            ("{%- set x, y = 1, 2 -%} {{ x }}{{- y }}{% set x = y %}\n{{ x }}".into(), "122".into()),
            ("{% for k, v in {'a': 1, 'b': 2}.items() if v > 1 %}{{ k }}{% endfor %}".into(), "b".into()),
            ("{% for x in [1, [2, [3]]] recursive %}{{ loop(x) if x is iterable else x }}{% endfor %}".into(), "123".into()),
            ("{% macro f(a, b='z', c=3) -%} {{ a }}{{ b }}{{ c }} {%- endmacro %}{{ f(1, c=2) }}".into(), "1z2".into()),
            ("{% macro g() %}[{{ caller('x') }}]{% endmacro %}{% call(u) g() %}{{ u }}{% endcall %}".into(), "[x]".into()),
            ("{% set x %}a{{ 1 }}{% endset %}{{ x | upper }}{% filter upper %}b{% endfilter %}".into(), "A1B".into()),
            ("{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}".into(), "3".into()),
            ("{{ ' ' * 3 }}{{ 2 * 3 }}{% set n = 4 %}{{ n * 2 }}".into(), "   68".into()),
            ("{% raw %}{{ x }}{% endraw %}{# x #}{{ '}}' }}{{ {'a': {'b': 1}}['a']['b'] }}".into(), "{{ x }}}}1".into()),
            ("{{ x is defined }}{{ x is not defined }}{{ messages is iterable }}{{ 1 if not x else 2 }}".into(), "FalseTrueTrue1".into()),
            ("{% set messages = messages[1:] %}{{ messages | length }}{{ messages[0]['role'] }}".into(), "1v".into()),
            ("{% for m in messages %}{{ loop.index }}{{ loop.last }}{{ loop.previtem.role if loop.previtem is defined }}{{ m.role.upper() }}{% endfor %}".into(), "1FalseU2TrueuV".into()),
            ("{{ range(3) | join(',') }}{{ range(5, 1, -2) | list }}{{ range(0) | list }}".into(), "0,1,2[5, 3][]".into()),
            ("{{ 'a\nb' | indent(2) }}{{ 'aXb'.split('X') | join('+') }}{{ [1, 2] | batch(1) | list }}".into(), "a\n  ba+b[[1], [2]]".into()),
            ("{% block b %}x{{ messages[0].role }}{% endblock b %}{{ self.b() }}".into(), "xuxu".into()),
            ("{{ 'a' 'b' }}".into(), "ab".into()),
        ];
        let mut wrong = Vec::new();
        for (template, expected) in cases {
            let messages = r#"[{"role": "u"}, {"role": "v"}]"#;
            let text = render(&template, messages).unwrap_or_else(|error| error.to_string());
            if text != expected {
                wrong.push((template, text, expected));
            }
        }
        assert!(wrong.is_empty(), "template, text, expected: {wrong:#?}");
    }

    #[test]
    fn long_conversations_are_within_the_budget() {
        let turn = r#"{"role": "user", "content": "What one says in a turn or two of some length, again and again."}"#;
        let messages = format!("[{}]", vec![turn; 1024].join(", "));
        let template = "{% set ns = namespace(seen=[], n=0) %}{% for message in messages %}{% set ns.seen = ns.seen + [message] %}{% set ns.n = ns.n + messages | length %}{{ '<' ~ message.role ~ '>' + message['content'] + ns.seen[-1].role }}{% endfor %}{{ ns.n }}";
        let text = render(template, &messages).unwrap();
        assert!(text.ends_with("1048576") && text.len() > 1024 * 64);
    }
}
