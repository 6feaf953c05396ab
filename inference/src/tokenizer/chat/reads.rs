//! Templates in which every variable is looked at when it is read.
//!
//! What a template makes can only grow from step to step through variables: an expression is as long
//! as its text. So each read of one, `x.y`, becomes `__read(x.y, 1)`, and the function counts it.
//! Nothing outside of tags changes but that long texts count themselves, so white space is as it was.

mod scan;

use std::collections::HashSet;

use self::scan::{Kind, Piece, Token, pieces, tokens};

/// Counts a value, times its second argument, and gives it back.
pub(super) const READ: &str = "__read";
/// Counts as many bytes of text as its argument says, and gives nothing.
pub(super) const TEXT: &str = "__text";

/// Largest factor of a repetition.
const MAX_REPEATED: u64 = 1024;
/// Texts between tags up to this long are not counted: there are fewer than steps.
const SHORT_TEXT: usize = 128;
/// Longest text without a place for a count.
const MAX_UNCOUNTED: usize = 4096;

const KEYWORDS: [&str; 13] = [
    "and", "or", "not", "in", "is", "if", "else", "true", "True", "false", "False", "none", "None",
];

/// Rewrites a template; reads of `inputs` stay unless the template assigns to them.
///
/// # Errors
/// What about the template is not understood or not allowed.
pub(super) fn counted(source: &str, inputs: &[&str]) -> Result<String, String> {
    if source.contains(READ) || source.contains(TEXT) {
        return Err(format!("{READ} and {TEXT} are reserved names"));
    }
    let mut rewriter = Rewriter { inputs: inputs.iter().copied().collect(), ..Default::default() };
    let text = rewriter.all(source)?;
    let assigned = std::mem::take(&mut rewriter.assigned);
    if rewriter.inputs.is_disjoint(&assigned) {
        return Ok(text);
    }
    rewriter.inputs.retain(|name| !assigned.contains(name));
    rewriter.all(source)
}

#[derive(Default)]
struct Rewriter<'a> {
    inputs: HashSet<&'a str>,
    assigned: HashSet<&'a str>,
}

impl<'a> Rewriter<'a> {
    fn all(&mut self, source: &'a str) -> Result<String, String> {
        let mut out = String::with_capacity(2 * source.len());
        for piece in pieces(source)? {
            match piece {
                Piece::Text(text) => count_text(text, &mut out)?,
                Piece::Verbatim(text) => out.push_str(text),
                Piece::Tag { inner, statement } => self.tag(inner, statement, &mut out)?,
            }
        }
        Ok(out)
    }

    fn tag(&mut self, inner: &'a str, statement: bool, out: &mut String) -> Result<(), String> {
        let tokens = tokens(inner)?;
        let targets = if statement { targets(&tokens) } else { HashSet::new() };
        let factor = factor(&tokens)?;
        let is = |at: usize, text| tokens.get(at).is_some_and(|token: &Token<'_>| token.is(text));
        let (mut at, mut done) = (0, 0);
        while at < tokens.len() {
            let token = &tokens[at];
            let after_name = at > 0 && (is(at - 1, ".") || is(at - 1, "|"));
            let tests =
                at > 0 && (is(at - 1, "is") || is(at - 1, "not") && at > 1 && is(at - 2, "is"));
            let target = targets.contains(&at) || is(at + 1, "=");
            let end = match token.kind {
                Kind::Text if factor > 1 => Some(at + 1),
                Kind::Name if after_name || tests || KEYWORDS.contains(&token.text) => None,
                Kind::Name if target => {
                    self.assigned.insert(token.text);
                    None
                }
                Kind::Name if token.is("loop") => loop_end(&tokens, at)?,
                Kind::Name if is(at + 1, "(") || self.inputs.contains(token.text) => None,
                Kind::Name => Some(path_end(&tokens, at)),
                Kind::Text | Kind::Number | Kind::Sign => None,
            };
            if let Some(end) = end {
                out.push_str(&inner[done..token.start]);
                done = tokens[end - 1].end();
                let read = &inner[token.start..done];
                out.push_str(&format!("{READ}({read}, {factor})"));
            }
            at = end.unwrap_or(at + 1);
        }
        out.push_str(&inner[done..]);
        Ok(())
    }
}

/// Which tokens of a statement are its keyword and names that it gives values to.
fn targets(tokens: &[Token<'_>]) -> HashSet<usize> {
    let Some(keyword) = tokens.first() else { return HashSet::new() };
    let until = |ends: &[&str]| {
        let end = tokens.iter().position(|token| token.depth == 0 && ends.contains(&token.text));
        (0..end.unwrap_or(tokens.len())).collect()
    };
    match keyword.text {
        "for" => {
            let last = tokens.iter().rposition(|token| token.is("recursive"));
            let mut targets: HashSet<usize> = until(&["in"]);
            targets
                .extend(last.filter(|last| last + 1 >= tokens.len() - usize::from(trims(tokens))));
            targets
        }
        // A block's text, through filters.
        "set" if !tokens.iter().any(|token| token.is("=") && token.depth == 0) => until(&["|"]),
        "set" => until(&["="]),
        "macro" => parameters(tokens, 2),
        "call" if tokens.get(1).is_some_and(|token| token.is("(")) => parameters(tokens, 1),
        "filter" => HashSet::from([0, 1]),
        "block" | "autoescape" => (0..tokens.len()).collect(),
        name if name.starts_with("end") => (0..tokens.len()).collect(),
        _ => HashSet::from([0]),
    }
}

/// Whether the tag takes or keeps the white space behind it.
fn trims(tokens: &[Token<'_>]) -> bool {
    tokens.last().is_some_and(|last| last.is("-") || last.is("+"))
}

/// The names in the parentheses that open at a token, and everything before.
fn parameters(tokens: &[Token<'_>], open: usize) -> HashSet<usize> {
    let close = (open + 1..tokens.len()).find(|at| tokens[*at].depth == 0);
    let names = (open + 1..close.unwrap_or(tokens.len())).filter(|at| {
        let before = &tokens[at - 1];
        tokens[*at].depth == 1 && before.depth <= 1 && (before.is("(") || before.is(","))
    });
    (0..=open).chain(names).collect()
}

/// The end of `x.y['z'][0]`: everything but what is called.
fn path_end(tokens: &[Token<'_>], start: usize) -> usize {
    let at = |at: usize| tokens.get(at);
    let is = |place: usize, text| at(place).is_some_and(|token| token.is(text));
    let kind = |place: usize| at(place).map(|token| token.kind);
    let mut end = start + 1;
    loop {
        if is(end, ".") && kind(end + 1) == Some(Kind::Name) && !is(end + 2, "(") {
            end += 2;
        } else if is(end, "[")
            && matches!(kind(end + 1), Some(Kind::Text | Kind::Number))
            && is(end + 2, "]")
        {
            end += 3;
        } else {
            return end;
        }
    }
}

/// What of `loop` is a value that may grow: the items beside the present one.
fn loop_end(tokens: &[Token<'_>], at: usize) -> Result<Option<usize>, String> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    match (text(at + 1), text(at + 2)) {
        (".", "previtem" | "nextitem") => Ok(Some(path_end(tokens, at))),
        ("." | "(", _) => Ok(None),
        _ => Err("loop is read other than by the names of its fields".into()),
    }
}

/// How often a tag's values may be repeated.
fn factor(tokens: &[Token<'_>]) -> Result<u64, String> {
    let mut factor = 1u64;
    for at in 1..tokens.len() {
        // In a call, `*list` is its items.
        let product = tokens[at].is("*") && !["(", ","].contains(&tokens[at - 1].text);
        if !product {
            continue;
        }
        let (before, after) = (Some(&tokens[at - 1]), tokens.get(at + 1));
        if [before, after].into_iter().flatten().any(|token| token.is("(") || token.is(")")) {
            return Err("a product of what is in parentheses".into());
        }
        let number = |token: Option<&Token<'_>>| token?.number();
        let least = number(before).into_iter().chain(number(after)).min();
        let times = least.filter(|times| *times <= MAX_REPEATED);
        let times =
            times.ok_or_else(|| format!("a product without a number up to {MAX_REPEATED}"))?;
        factor = factor.saturating_mul(times.max(1));
    }
    if factor > MAX_REPEATED {
        return Err(format!("products of {factor}, more than {MAX_REPEATED}"));
    }
    Ok(factor)
}

/// Lets a long text count itself, somewhere inside of a word, where tags take no white space away.
fn count_text(text: &str, out: &mut String) -> Result<(), String> {
    let bytes = text.as_bytes();
    let inside =
        |at: &usize| bytes[at - 1].is_ascii_alphanumeric() && bytes[*at].is_ascii_alphanumeric();
    let place = (1..bytes.len()).find(inside).filter(|_| bytes.len() > SHORT_TEXT);
    match place {
        Some(at) => out.push_str(&format!(
            "{}{{{{ {TEXT}({}) }}}}{}",
            &text[..at],
            bytes.len(),
            &text[at..]
        )),
        None if bytes.len() > MAX_UNCOUNTED => {
            return Err(format!("{} bytes of text without a word", bytes.len()));
        }
        None => out.push_str(text),
    }
    Ok(())
}
