//! Which script and language a text is in, by counting.

use unicode_segmentation::UnicodeSegmentation as _;

use super::{ACCEPTED, FULL, Reason, bps, grade};

/// Share of letters that must be in the script, in ten-thousandths.
const IN_SCRIPT: (u64, u64) = (8_500, 9_500);
/// Share of words that must be among the language's commonest, in ten-thousandths.
const COMMON: (u64, u64) = (600, 1_800);
/// Words from which the commonest ones can be expected.
const WORDS_TO_TELL: usize = 20;

/// A writing system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Latin.
    Latin,
    /// Cyrillic.
    Cyrillic,
    /// Greek.
    Greek,
    /// Arabic.
    Arabic,
    /// Devanagari.
    Devanagari,
    /// Chinese characters, kana and hangul.
    EastAsian,
}

/// A language that texts can be told to be in. Of scripts other than Latin, which are not told
/// further apart, one stands for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Language {
    English,
    German,
    French,
    Spanish,
    Italian,
    Portuguese,
    Dutch,
    Other(Script),
}

const LATIN: [(Language, &str); 7] = [
    (
        Language::English,
        "the of and to in is that for it as with be by on are this an or from at which not can \
         has have was when if you will",
    ),
    (
        Language::German,
        "der die das und ist ein eine zu den mit von im nicht auf des sich dem für als auch es an \
         werden wird bei oder sind wenn einen",
    ),
    (
        Language::French,
        "le la les de des et est un une du en que qui dans pour par sur pas au aux ce il elle \
         avec sont plus ou se cette",
    ),
    (
        Language::Spanish,
        "el la los las de y es un una que en por para con se del al no su lo como más o este \
         esta son si ha sus",
    ),
    (
        Language::Italian,
        "il lo la gli le di e è un una che in per con si del della al non da come più o questo \
         sono se nel ha alla i",
    ),
    (
        Language::Portuguese,
        "o a os as de e é um uma que em por para com se do da ao não no na como mais ou este \
         são dos das foi",
    ),
    (
        Language::Dutch,
        "de het een en van is dat in te op met voor niet zijn aan er om ook als bij door naar \
         wordt of dit uit deze worden kan",
    ),
];

/// Parts of the score with what each says if it is low.
pub(super) fn check(text: &str, wanted: Language) -> Vec<(u16, Reason)> {
    let script = match wanted {
        Language::Other(script) => script,
        _ => Script::Latin,
    };
    let letters = text.chars().filter(|c| c.is_alphabetic());
    let (mut inside, mut all) = (0, 0);
    for letter in letters {
        all += 1;
        inside += usize::from(script_of(letter) == Some(script));
    }
    let share = if all == 0 { 0 } else { bps(inside, all) };
    let of = grade(share, IN_SCRIPT.0, IN_SCRIPT.1);
    let mut parts = vec![(of, Reason::Script(u16::try_from(share).unwrap_or(FULL)))];
    if of >= ACCEPTED && script == Script::Latin {
        parts.push(language(text, wanted));
    }
    parts
}

/// How much the text is in `wanted`, among languages of the Latin script.
fn language(text: &str, wanted: Language) -> (u16, Reason) {
    let words: Vec<String> = text.unicode_words().map(str::to_lowercase).collect();
    if words.len() < WORDS_TO_TELL {
        return (FULL, Reason::Language(None));
    }
    let common = |list: &str| {
        let list: Vec<&str> = list.split_whitespace().collect();
        bps(words.iter().filter(|word| list.contains(&word.as_str())).count(), words.len())
    };
    let shares: Vec<(Language, u64)> =
        LATIN.iter().map(|(language, list)| (*language, common(list))).collect();
    let of = |wanted: Language| shares.iter().find(|(l, _)| *l == wanted).map_or(0, |(_, s)| *s);
    let best = shares.iter().max_by_key(|(_, share)| *share).expect("there are seven");
    if best.0 != wanted && best.1 > of(wanted) {
        let known = (best.1 >= COMMON.0).then_some(best.0);
        // Far behind another language is nothing, level with it just not enough.
        let score = u64::from(ACCEPTED - 1) * of(wanted) / best.1;
        return (u16::try_from(score).unwrap_or(0), Reason::Language(known));
    }
    (grade(of(wanted), COMMON.0, COMMON.1), Reason::Language(None))
}

const fn script_of(c: char) -> Option<Script> {
    Some(match c as u32 {
        0x41..=0x24f | 0x1e00..=0x1eff | 0xfb00..=0xfb06 => Script::Latin,
        0x370..=0x3ff | 0x1f00..=0x1fff => Script::Greek,
        0x400..=0x52f => Script::Cyrillic,
        0x600..=0x6ff | 0x750..=0x77f | 0xfb50..=0xfdff | 0xfe70..=0xfeff => Script::Arabic,
        0x900..=0x97f => Script::Devanagari,
        0x1100..=0x11ff | 0x3040..=0x30ff | 0x3400..=0x9fff | 0xac00..=0xd7af => Script::EastAsian,
        _ => return None,
    })
}
