//! What an encoder sees of a row besides its whole text.

/// Most passages of a row.
pub const MAX_PASSAGES: usize = 16;
/// Words of a passage, where sixteen of them are enough for the row.
const PASSAGE_WORDS: usize = 24;
/// Longest passage of code, in bytes; encoders see less.
const MAX_BYTES: usize = 4096;

/// The passages of a row, at most [`MAX_PASSAGES`], in order; none if the row is no longer than one.
///
/// An encoder makes one vector of a text and sees only its beginning. A fact in the middle of a long
/// row moves that vector little; it is found by the passage that it stands in.
///
/// - Prose is cut into runs of whole sentences, of 24 words each or of a sixteenth of the row if that
///   is more. A longer sentence is a passage by itself.
/// - Code has one: what is said about it. That is its first comment and the name that it declares,
///   cut into words, and its other comments before the first line of code, without their marks.
///
/// The same for whoever computes it, and a bounded part of the text.
#[must_use]
pub fn passages(text: &str) -> Vec<String> {
    if is_code(text) {
        return said_of(text).into_iter().collect();
    }
    let sentences = sentences(text);
    let words: usize = sentences.iter().map(|sentence| count(sentence)).sum();
    let target = PASSAGE_WORDS.max(words.div_ceil(MAX_PASSAGES));
    let (mut found, mut passage, mut held) = (Vec::new(), String::new(), 0);
    for sentence in sentences {
        let words = count(sentence);
        // The last passage takes what is left over.
        if held > 0 && held + words > target && found.len() + 1 < MAX_PASSAGES {
            found.push(core::mem::take(&mut passage));
            held = 0;
        }
        if held > 0 {
            passage.push(' ');
        }
        passage.push_str(sentence);
        held += words;
    }
    if found.is_empty() {
        return found;
    }
    found.push(passage);
    found
}

fn count(text: &str) -> usize {
    text.split_whitespace().count()
}

/// Runs of `text` up to the end of a sentence or paragraph, trimmed, none of them empty.
fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut ends = false; // whether the last signs that are no spaces may end a sentence
    let mut line_breaks = 0;
    for (at, c) in text.char_indices() {
        if c.is_whitespace() {
            line_breaks += usize::from(c == '\n');
            continue;
        }
        let apart = text[..at].ends_with(char::is_whitespace);
        let begins = c.is_uppercase() || c.is_numeric() || "\"'(".contains(c);
        if apart && (line_breaks > 1 || (ends && begins)) {
            found.push(text[start..at].trim_end());
            start = at;
        }
        line_breaks = 0;
        ends = matches!(c, '.' | '!' | '?') || (ends && !apart && "\"')]".contains(c));
    }
    found.push(text[start..].trim_end());
    found.retain(|sentence| !sentence.is_empty());
    found
}

/// Whether at least a quarter of the lines end as statements and blocks do, or are comments of one.
fn is_code(text: &str) -> bool {
    let (mut all, mut code, mut comments, mut inside) = (0, 0, 0, false);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        all += 1;
        if is_comment(line, &mut inside) {
            comments += usize::from(!line.starts_with('#') && !line.starts_with("--"));
        } else {
            code += usize::from(line.ends_with(['{', '}', ';']));
        }
    }
    code > 0 && 4 * (code + comments) >= all
}

/// Whether a trimmed line is a comment in one of the usual languages.
///
/// - `inside`: whether it stands in a block of comment lines, and then whether the next one does
fn is_comment(line: &str, inside: &mut bool) -> bool {
    let comment = *inside || ["//", "/*", "#", "--"].iter().any(|mark| line.starts_with(mark));
    *inside = (*inside || line.starts_with("/*")) && !line.contains("*/");
    comment
}

/// What the comments before the first line of code say, with the declared name after the first.
fn said_of(text: &str) -> Option<String> {
    let (mut said, mut declared) = (Vec::new(), "");
    let mut inside = false; // a block of comment lines
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !is_comment(line, &mut inside) {
            declared = name(line);
            break;
        }
        let plain = unmarked(line);
        if !plain.is_empty() {
            said.push(plain);
        }
    }
    let title = if said.is_empty() { String::new() } else { said.remove(0) };
    let parts = [split(&title), split(declared), said.join(" ")];
    let parts: Vec<&str> = parts.iter().map(|part| part.trim()).filter(|p| !p.is_empty()).collect();
    let mut passage = parts.join(". ");
    let end = (0..=MAX_BYTES.min(passage.len())).rev().find(|at| passage.is_char_boundary(*at));
    passage.truncate(end.unwrap_or_default());
    (!passage.is_empty()).then_some(passage)
}

/// A line of a comment without its marks, tags and braces.
fn unmarked(line: &str) -> String {
    let plain = line.trim_start_matches(['/', '*', '#', '-', '!']).trim_end_matches("*/");
    let words = plain.split_whitespace().filter(|word| !word.starts_with('@'));
    let bare = |word: &str| word.replace(['{', '}', '`'], "");
    words.map(bare).collect::<Vec<_>>().join(" ")
}

/// The word before the first parenthesis of a line of code.
fn name(line: &str) -> &str {
    let before = line.split('(').next().unwrap_or_default().trim_end();
    let start = before
        .rfind(|c: char| !c.is_alphanumeric() && c != '_')
        .map_or(0, |at| at + before[at..].chars().next().map_or(0, char::len_utf8));
    &before[start..]
}

/// `text` with its identifiers cut into words, in small letters.
fn split(text: &str) -> String {
    let words = text.split_whitespace().flat_map(super::words::parts_of);
    let plain = words.map(|word| word.trim_matches('_').to_lowercase());
    plain.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_cut_between_sentences_and_nothing_is_lost() {
        let one =
            "The first sailing is dropped on Sundays, and all of the others keep their times.";
        let two = "It takes 55 min. in calm weather (an hour otherwise).";
        let three = "\"Who pays?\" Residents pay a third of the fare, which the parish office in \
                     Skagby confirms with a card that has a photograph.";
        let text = format!("{one} {two}\n\n{three}");
        let (who, rest) = three.split_at("\"Who pays?\"".len());
        assert_eq!(passages(&text), [one, &format!("{two} {who}"), rest.trim()]);
        assert!(passages(two).is_empty());
    }

    #[test]
    fn a_long_row_has_sixteen_passages_of_all_of_it() {
        let text = "One two three four five six seven eight nine ten. ".repeat(400);
        let found = passages(&text);
        assert_eq!(found.len(), MAX_PASSAGES);
        assert_eq!(found.iter().map(|passage| count(passage)).sum::<usize>(), 4000);
        let longest = found.iter().map(|passage| count(passage)).max().unwrap();
        assert!(longest <= 260, "{longest}");
    }

    #[test]
    fn code_is_what_is_said_of_it() {
        let text = "// ERC20FlashMint\n/**\n * @dev Returns the maximum {amount} of `tokens`.\n * \
                    @param token The token.\n */\nfunction maxFlashLoan(address token) public view \
                    returns (uint256) {\n    return 1; // Not said.\n}";
        let said = "erc20 flash mint. max flash loan. Returns the maximum amount of tokens. token \
                    The token.";
        assert_eq!(passages(text), [said]);
        assert_eq!(passages("fn _nextOne() {\n}\n"), ["next one"]);
        let lines = "  * One of many lines.\n".repeat(9);
        let declared = format!("/**\n{lines} */\nfunction onlySaid() external;");
        assert!(passages(&declared)[0].contains(". only said. One of"), "{declared}");
    }

    #[test]
    fn hostile_texts_have_few_passages() {
        let hostile =
            ["", " \n\n", "{", "}\n}", "/*", "(", "é(é;\né;", "...", "// \u{202e}\n;", "((((;"];
        for text in hostile {
            assert!(passages(text).len() <= 1, "{text:?}");
        }
        let text = "A. ".repeat(300_000);
        assert!(passages(&text).len() <= MAX_PASSAGES);
        let text = format!("/* {} */\nx;\ny;\n", "x".repeat(1 << 19));
        assert!(passages(&text).iter().all(|passage| passage.len() <= MAX_BYTES));
    }
}
