//! Cuts a Solidity source into its functions.

/// One function, modifier or constructor with the comments right above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Contract, library or interface that it is in; empty for a free function.
    pub contract: String,
    /// Source text, without the indentation of its first line.
    pub text: String,
}

const CALLABLES: [&str; 6] =
    ["function", "modifier", "constructor", "receive", "fallback", "operator"];
const CONTAINERS: [&str; 3] = ["contract", "library", "interface"];

/// The callables of `source` in order. Never fails: text that is not Solidity has none.
///
/// Only comments, strings and braces are understood, which is enough to find where a member of a
/// contract begins and ends, and stays right for assembly blocks and unknown future syntax.
pub fn segments(source: &str) -> Vec<Segment> {
    let code = blank_comments_and_strings(source);
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    let mut contract = String::new();
    let mut depth = 0usize;
    let mut inside = 0usize; // depth at which members of the current scope stand
    let mut start = 0usize; // where the current member begins
    for at in 0..bytes.len() {
        match bytes[at] {
            b'{' => {
                if depth == 0
                    && let Some(name) = container_name(&code[start..at])
                {
                    (contract, inside, start) = (name, 1, after(&code, at));
                }
                depth += 1;
            }
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == inside {
                    push_callable(&mut found, &contract, source, &code, start..at + 1);
                    start = after(&code, at);
                } else if depth == 0 {
                    (contract, inside, start) = (String::new(), 0, after(&code, at));
                }
            }
            b';' if depth == inside => {
                push_callable(&mut found, &contract, source, &code, start..at + 1);
                start = after(&code, at);
            }
            _ => {}
        }
    }
    found
}

/// Where the next member may begin after the byte at `at`: a comment on the same line still belongs
/// to what ended there.
fn after(code: &str, at: usize) -> usize {
    let rest = &code[at + 1..];
    let line = rest.find('\n').unwrap_or(rest.len());
    if rest[..line].trim().is_empty() { at + 1 + line } else { at + 1 }
}

fn push_callable(
    found: &mut Vec<Segment>,
    contract: &str,
    source: &str,
    code: &str,
    range: std::ops::Range<usize>,
) {
    let first_word = code[range.clone()].split_whitespace().next().unwrap_or_default();
    let keyword = first_word.split('(').next().unwrap_or_default();
    if CALLABLES.contains(&keyword) {
        let text = dedent(source[range].trim_matches(['\n', '\r']));
        found.push(Segment { contract: contract.to_owned(), text });
    }
}

/// The name after `contract`, `library` or `interface`, if `header` declares one.
fn container_name(header: &str) -> Option<String> {
    let mut words = header.split_whitespace();
    words.find(|word| CONTAINERS.contains(word))?;
    words.next().map(str::to_owned)
}

/// `source` with every comment and string body replaced by spaces, byte for byte, so that braces
/// and semicolons that remain are code.
fn blank_comments_and_strings(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => find(bytes, at, b"\n"),
            b'/' if bytes.get(at + 1) == Some(&b'*') => find(bytes, at + 2, b"*/") + 2,
            quote @ (b'"' | b'\'') => string_end(bytes, at, quote),
            _ => {
                at += 1;
                continue;
            }
        };
        let end = end.min(bytes.len());
        out[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        at = end;
    }
    String::from_utf8(out).expect("whole characters are replaced by spaces")
}

fn find(bytes: &[u8], from: usize, needle: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(needle.len()).position(|window| window == needle).map_or(bytes.len(), |i| from + i)
}

fn string_end(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != quote && bytes[at] != b'\n' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// Removes the first line's indentation from every line that has it.
fn dedent(text: &str) -> String {
    let text = text.trim_end();
    let lines = text.lines().skip_while(|line| line.trim().is_empty());
    let lines: Vec<&str> = lines.collect();
    let indent = lines.first().map_or(0, |line| line.len() - line.trim_start().len());
    let cut = |line: &&str| {
        let spaces = line.len() - line.trim_start().len();
        line[spaces.min(indent)..].trim_end().to_owned()
    };
    lines.iter().map(cut).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IERC20} from "./IERC20.sol"; // function notReal() {

/// free
function add(uint256 a, uint256 b) pure returns (uint256) {
    return a + b;
}

abstract contract Token is IERC20 {
    uint256 private _supply;
    mapping(address account => uint256) private _balances;

    error Broke(string why);

    /**
     * @dev Says "{hello}" } {
     */
    constructor(string memory name) {
        name = "}{";
    }

    // one
    function one() external view returns (uint256) {
        assembly {
            if iszero(1) { revert(0, 0) }
        }
    }

    struct Point {
        uint256 x;
    }

    function two() external virtual;
}

library Math {
    modifier checked() {
        _;
    }
}
"#;

    #[test]
    fn finds_callables_with_their_comments_and_contract() {
        let found = segments(SOURCE);

        let heads: Vec<_> =
            found.iter().map(|s| (s.contract.as_str(), s.text.lines().next().unwrap())).collect();
        assert_eq!(
            heads,
            [
                ("", "/// free"),
                ("Token", "/**"),
                ("Token", "// one"),
                ("Token", "function two() external virtual;"),
                ("Math", "modifier checked() {"),
            ]
        );
        assert!(found[2].text.ends_with("    }\n}"), "{}", found[2].text);
        assert!(found[1].text.contains("name = \"}{\";"));
    }

    #[test]
    fn text_that_is_not_solidity_gives_nothing_and_does_not_panic() {
        for text in ["", "}}}}", "\"", "/*", "'\\", "é{é}é;", "function"] {
            assert!(segments(text).is_empty(), "{text}");
        }
    }
}
