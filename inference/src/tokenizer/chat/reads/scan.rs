//! The tokens of a template, as far as they tell names from other things.

/// Longest `{% raw %}` block.
const MAX_RAW: usize = 4096;

/// Part of a template; one after another they are all of it.
pub(super) enum Piece<'a> {
    /// Text between tags.
    Text(&'a str),
    /// Braces, comments and raw blocks: what stays as it is.
    Verbatim(&'a str),
    /// What is inside of a tag's braces.
    Tag { inner: &'a str, statement: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Number,
    Text,
    Sign,
}

/// A token of a tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// Where it begins in the tag.
    pub(super) start: usize,
    /// How many brackets are open; those that open and close them count as outside.
    pub(super) depth: usize,
}

impl Token<'_> {
    pub(super) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }

    pub(super) const fn end(&self) -> usize {
        self.start + self.text.len()
    }

    pub(super) fn number(&self) -> Option<u64> {
        if self.kind == Kind::Number { self.text.parse().ok() } else { None }
    }
}

/// Cuts a template into pieces.
pub(super) fn pieces(source: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = source;
    while let Some(start) = rest
        .match_indices('{')
        .map(|(at, _)| at)
        .find(|at| matches!(rest.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#')))
    {
        pieces.push(Piece::Text(&rest[..start]));
        let kind = rest.as_bytes()[start + 1];
        let body = &rest[start + 2..];
        let length = match kind {
            b'#' => body.find("#}").ok_or("a comment does not end")? + 2,
            _ => end_of_tag(body, kind == b'%')?,
        };
        let end = start + 2 + length;
        let inner = &body[..length.saturating_sub(2)];
        let word = inner.trim_matches(['-', '+']).trim();
        if kind == b'%' && word == "raw" {
            let after = end_of_raw(&rest[end..])?;
            pieces.push(Piece::Verbatim(&rest[start..end + after]));
            rest = &rest[end + after..];
            continue;
        }
        if kind == b'#' {
            pieces.push(Piece::Verbatim(&rest[start..end]));
        } else {
            pieces.push(Piece::Verbatim(&rest[start..start + 2]));
            pieces.push(Piece::Tag { inner, statement: kind == b'%' });
            pieces.push(Piece::Verbatim(&rest[end - 2..end]));
        }
        rest = &rest[end..];
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// Bytes up to the end of a tag, its closing braces included.
fn end_of_tag(body: &str, statement: bool) -> Result<usize, String> {
    let close = if statement { "%}" } else { "}}" };
    let (mut at, mut depth) = (0, 0usize);
    while at < body.len() {
        let rest = &body[at..];
        if depth == 0 && rest.starts_with(close) {
            return Ok(at + 2);
        }
        let (_, length) = next(rest)?;
        match rest.as_bytes()[0] {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += length;
    }
    Err("a tag does not end".into())
}

fn end_of_raw(rest: &str) -> Result<usize, String> {
    let unended = || "a raw block does not end".to_owned();
    let mut at = 0;
    loop {
        let start = at + rest[at..].find("{%").ok_or_else(unended)?;
        let length = rest[start..].find("%}").ok_or_else(unended)?;
        if rest[start + 2..start + length].trim_matches(['-', '+']).trim() == "endraw" {
            if start > MAX_RAW {
                return Err(format!("{start} bytes in a raw block, more than {MAX_RAW}"));
            }
            return Ok(start + length + 2);
        }
        at = start + 2;
    }
}

/// The tokens of a tag.
pub(super) fn tokens(inner: &str) -> Result<Vec<Token<'_>>, String> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let (mut start, mut depth) = (0, 0usize);
    while start < inner.len() {
        let (kind, length) = next(&inner[start..])?;
        let text = &inner[start..start + length];
        if matches!(text, ")" | "]" | "}") {
            depth = depth.saturating_sub(1);
        }
        if let Some(kind) = kind {
            tokens.push(Token { kind, text, start, depth });
        }
        if matches!(text, "(" | "[" | "{") {
            depth += 1;
        }
        start += length;
    }
    // What takes or keeps white space.
    if tokens.first().is_some_and(|token| token.is("-") || token.is("+")) {
        tokens.remove(0);
    }
    Ok(tokens)
}

/// The kind (none of white space) and length of the token that begins a text.
fn next(rest: &str) -> Result<(Option<Kind>, usize), String> {
    let bytes = rest.as_bytes();
    let run = |of: fn(&u8) -> bool| bytes.iter().take_while(|byte| of(byte)).count();
    Ok(match bytes[0] {
        byte if byte.is_ascii_whitespace() => (None, run(u8::is_ascii_whitespace)),
        byte if byte.is_ascii_alphabetic() || byte == b'_' => {
            (Some(Kind::Name), run(|byte| byte.is_ascii_alphanumeric() || *byte == b'_'))
        }
        byte if byte.is_ascii_digit() => (Some(Kind::Number), number(bytes)),
        quote @ (b'"' | b'\'') => (Some(Kind::Text), quoted(bytes, quote)?),
        byte if !byte.is_ascii() => {
            return Err(format!("{:?} outside of a text", rest.chars().next().unwrap_or(' ')));
        }
        _ => {
            let double = ["==", "!=", "<=", ">=", "//", "**"];
            let length = if double.iter().any(|sign| rest.starts_with(sign)) { 2 } else { 1 };
            (Some(Kind::Sign), length)
        }
    })
}

/// Digits, and a fraction if digits follow the point.
fn number(bytes: &[u8]) -> usize {
    let word = |from: usize| {
        let rest = bytes[from..].iter();
        from + rest.take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
    };
    let whole = word(0);
    let fraction =
        bytes.get(whole) == Some(&b'.') && bytes.get(whole + 1).is_some_and(u8::is_ascii_digit);
    if fraction { word(whole + 1) } else { whole }
}

fn quoted(bytes: &[u8], quote: u8) -> Result<usize, String> {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return Ok(at + 1),
            _ => at += 1,
        }
    }
    Err("a text does not end".into())
}
