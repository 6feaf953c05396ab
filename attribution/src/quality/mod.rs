//! Is an offered file worth taking? What a Datanet asks before anybody votes.
//!
//! Every check gives a part of the score in ten-thousandths, where [`ACCEPTED`] is just good enough;
//! the file's score is its worst part, so that nothing makes up for a file that is broken, copied or
//! about something else. All in integers: every validator finds the same.

mod language;
mod structure;
mod topic;

use core::fmt;

pub use self::{
    language::{Language, Script},
    topic::{NEAR_BPS as TOPIC_COSINE_BPS, Topic},
};
use crate::{Error, Result, estimate::duplicates};

/// Score from which a file is accepted, in ten-thousandths.
pub const ACCEPTED: u16 = 5_000;
/// The best score.
pub const FULL: u16 = 10_000;

/// What kind of text a Datanet takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Sentences in one language.
    Prose(Language),
    /// Source code of a language with C's brackets, strings and comments.
    Code,
}

/// What a Datanet asks of every file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Its kind.
    pub content: Content,
    /// Fewest words.
    pub min_words: usize,
    /// Most bytes.
    pub max_bytes: usize,
}

impl Rules {
    /// From 8 words to 256 KiB.
    #[must_use]
    pub const fn new(content: Content) -> Self {
        Self { content, min_words: 8, max_bytes: 1 << 18 }
    }
}

/// Why a file scores low.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is not UTF-8, from this byte on.
    NotText(usize),
    /// It has characters that no text has: control, unassigned or replacement characters.
    Control(char),
    /// It has words without spaces, of this many characters: data in disguise.
    Unbroken(usize),
    /// Brackets, a string or a comment do not close, or close without being open.
    Unbalanced(String),
    /// It has this many words, too few.
    Short(usize),
    /// It has this many bytes, too many.
    Long(usize),
    /// It says the same again and again; the share that is new, in ten-thousandths.
    Repetitive(u16),
    /// Of its letters, only this share is in the right script, in ten-thousandths.
    Script(u16),
    /// It is in another language of that script, if one is known.
    Language(Option<Language>),
    /// It is a copy or near copy of accepted row, or of the earlier file, with this number.
    Copy(Original),
    /// It is about something else.
    OffTopic,
}

/// What a copy was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Original {
    /// Row of the Datanet.
    Row(usize),
    /// File offered before it in the same call.
    File(usize),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotText(at) => write!(f, "not UTF-8 from byte {at}"),
            Self::Control(c) => write!(f, "holds the character {:?}", c),
            Self::Unbroken(chars) => write!(f, "holds a word of {chars} characters"),
            Self::Unbalanced(what) => f.write_str(what),
            Self::Short(words) => write!(f, "has only {words} words"),
            Self::Long(bytes) => write!(f, "has {bytes} bytes"),
            Self::Repetitive(new) => write!(f, "only {new} bps of it is new to itself"),
            Self::Script(share) => write!(f, "only {share} bps of its letters are in the script"),
            Self::Language(Some(language)) => write!(f, "is in {language:?}"),
            Self::Language(None) => f.write_str("is in no language that is known"),
            Self::Copy(Original::Row(row)) => write!(f, "is a copy of row {row}"),
            Self::Copy(Original::File(file)) => write!(f, "is a copy of file {file}"),
            Self::OffTopic => f.write_str("is about something else"),
        }
    }
}

/// What a Datanet says to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// From 0 to [`FULL`]; at least [`ACCEPTED`] if it is accepted.
    pub score: u16,
    /// Everything that speaks against it.
    pub reasons: Vec<Reason>,
}

impl Verdict {
    /// Whether the file passes.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        self.score >= ACCEPTED
    }
}

/// Judges files for one Datanet.
#[derive(Clone, Debug)]
pub struct Intake<'a> {
    rules: Rules,
    topic: Topic,
    rows: Vec<&'a str>,
}

impl<'a> Intake<'a> {
    /// For a Datanet with this description and these accepted rows.
    #[must_use]
    pub fn new(rules: Rules, description: &str, rows: &[&'a str]) -> Self {
        let topic = Topic::new(description, rows);
        Self { rules, topic, rows: rows.to_vec() }
    }

    /// A verdict on each file, in the order in which they were offered: of two copies, the earlier
    /// one is the original. `cosines[i]` is the cosine of file `i`'s vector with that of the
    /// description or of the nearest accepted rows, in ten-thousandths; without vectors words alone
    /// tell what a file is about.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are cosines but not one per file; [`Error::Setting`] if an accepted
    /// row is longer than [`duplicates::MAX_ROW_BYTES`].
    pub fn judge(&self, files: &[&[u8]], cosines: Option<&[i32]>) -> Result<Vec<Verdict>> {
        if let Some(cosines) = cosines.filter(|cosines| cosines.len() != files.len()) {
            return Err(Error::shape("cosines of files", files.len(), cosines.len()));
        }
        let texts: Vec<Option<&str>> = files.iter().map(|file| self.readable(file)).collect();
        let originals = self.originals(&texts)?;
        let judge = |(number, file): (usize, &&[u8])| {
            let cosine = cosines.map(|cosines| cosines[number]);
            self.judge_one(file, texts[number], originals[number], cosine)
        };
        Ok(files.iter().enumerate().map(judge).collect())
    }

    fn readable<'f>(&self, file: &'f [u8]) -> Option<&'f str> {
        let limit = self.rules.max_bytes.min(duplicates::MAX_ROW_BYTES);
        core::str::from_utf8(file).ok().filter(|text| text.len() <= limit)
    }

    fn judge_one(
        &self,
        file: &[u8],
        text: Option<&str>,
        original: Option<Original>,
        cosine: Option<i32>,
    ) -> Verdict {
        let mut score = FULL;
        let mut reasons = Vec::new();
        let mut part = |of: u16, reason: Reason| {
            score = score.min(of);
            if of < ACCEPTED {
                reasons.push(reason);
            }
        };
        let Some(text) = text else {
            let reason = match core::str::from_utf8(file) {
                Ok(_) => Reason::Long(file.len()),
                Err(error) => Reason::NotText(error.valid_up_to()),
            };
            return Verdict { score: 0, reasons: vec![reason] };
        };
        for (of, reason) in structure::check(text, &self.rules) {
            part(of, reason);
        }
        if let Content::Prose(language) = self.rules.content {
            for (of, reason) in language::check(text, language) {
                part(of, reason);
            }
        }
        if let Some(original) = original {
            part(0, Reason::Copy(original));
        }
        part(self.topic.score(text, cosine), Reason::OffTopic);
        Verdict { score, reasons }
    }

    /// What each file is a copy of, by the clusters that rows are paid by.
    fn originals(&self, texts: &[Option<&str>]) -> Result<Vec<Option<Original>>> {
        let rows = self.rows.len();
        let all: Vec<&str> =
            self.rows.iter().copied().chain(texts.iter().map(|text| text.unwrap_or(""))).collect();
        let clusters = duplicates::clusters(&all)?;
        let of = |(number, text): (usize, &Option<&str>)| {
            let cluster = clusters[rows + number] as usize;
            let copied = text.is_some() && cluster != rows + number;
            let original = if cluster < rows {
                Original::Row(cluster)
            } else {
                Original::File(cluster - rows)
            };
            copied.then_some(original)
        };
        Ok(texts.iter().enumerate().map(of).collect())
    }
}

/// `value` on a line through [`ACCEPTED`] at `enough` and [`FULL`] at `plenty`, within 0 and
/// [`FULL`]; `enough` is below `plenty`.
fn grade(value: u64, enough: u64, plenty: u64) -> u16 {
    let (low, high) = (u64::from(ACCEPTED), u64::from(FULL));
    let graded = if value >= plenty {
        high
    } else if value >= enough {
        low + (high - low) * (value - enough) / (plenty - enough)
    } else {
        // Just not enough must stay below what is accepted.
        (low * value / enough).min(low - 1)
    };
    u16::try_from(graded).expect("at most 10,000")
}

/// `part / whole` in ten-thousandths, floored; of nothing it is everything.
fn bps(part: usize, whole: usize) -> u64 {
    if whole == 0 { u64::from(FULL) } else { (part as u64 * u64::from(FULL)) / whole as u64 }
}
