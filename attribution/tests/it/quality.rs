//! A planted set of good and bad files for two Datanets: the project's contracts and English prose.

mod planted;

use attribution::quality::{Content, Intake, Language, Original, Reason, Rules, Script, Verdict};
use planted::{Planted, prose, solidity};

fn share(count: usize, of: usize) -> f64 {
    count as f64 / of as f64
}

/// Verdicts on good and bad files, offered together.
fn judge(set: &Planted) -> (Vec<Verdict>, Vec<Verdict>) {
    let rows: Vec<&str> = set.rows.iter().map(String::as_str).collect();
    let intake = Intake::new(Rules::new(set.content), set.description, &rows);
    let files: Vec<&[u8]> =
        set.good.iter().map(String::as_bytes).chain(set.bad.iter().map(|(_, b)| &b[..])).collect();
    let mut good = intake.judge(&files, None).unwrap();
    let bad = good.split_off(set.good.len());
    (good, bad)
}

fn check(name: &str, set: &Planted) {
    let (good, bad) = judge(set);
    let refused: Vec<usize> = (0..good.len()).filter(|i| !good[*i].is_accepted()).collect();
    let missed: Vec<usize> = (0..bad.len()).filter(|i| bad[*i].is_accepted()).collect();
    for i in &refused {
        eprintln!("{name}: refused {:?}\n{}", good[*i], set.good[*i]);
    }
    for i in &missed {
        let (kind, bytes) = &set.bad[*i];
        eprintln!("{name}: missed {kind} {:?}\n{}", bad[*i], String::from_utf8_lossy(bytes));
    }
    let (found, refused) =
        (share(bad.len() - missed.len(), bad.len()), share(refused.len(), good.len()));
    eprintln!(
        "{name}: {:.1}% of {} bad files found, {:.1}% of {} good files refused",
        100.0 * found,
        bad.len(),
        100.0 * refused,
        good.len()
    );
    assert!(good.len() >= 60 && bad.len() >= 60, "{} {}", good.len(), bad.len());
    assert!(found >= 0.95 && refused <= 0.05, "{name}: {found} {refused}");
    assert!(good.iter().chain(&bad).all(|verdict| verdict.score <= 10_000));
    assert!(good.iter().chain(&bad).all(|v| v.is_accepted() == v.reasons.is_empty()));
}

#[test]
fn bad_solidity_is_found_and_good_is_taken() {
    check("solidity", &solidity());
}

#[test]
fn bad_prose_is_found_and_good_is_taken() {
    check("prose", &prose());
}

fn reasons(content: Content, file: &[u8]) -> Vec<Reason> {
    let intake = Intake::new(Rules::new(content), "", &[]);
    intake.judge(&[file], Some(&[9_000])).unwrap().remove(0).reasons
}

#[test]
fn each_fault_is_named() {
    let code = |text: &str| reasons(Content::Code, text.as_bytes());
    let english = |text: &str| reasons(Content::Prose(Language::English), text.as_bytes());
    let ok = "function sum(uint a, uint b) returns (uint) { return a + b; }";
    assert_eq!(code(ok), []);
    assert_eq!(code(&ok[..ok.len() - 2]), [Reason::Unbalanced("a { is not closed".into())]);
    assert_eq!(code("function f() {}"), [Reason::Short(2)]);
    assert_eq!(reasons(Content::Code, b"function \xff"), [Reason::NotText(9)]);
    assert_eq!(code(&ok.replace(' ', "\u{0} "))[0], Reason::Control('\u{0}'));
    assert_eq!(code(&format!("{ok} // {}", "QUJD".repeat(200))), [Reason::Unbroken(800)]);
    let long = format!("{ok}\n").repeat(5000);
    assert_eq!(code(&long), [Reason::Long(long.len())]);

    let german = "Das Haus ist auf dem Hügel und die Leute gehen nicht mit dem Hund zu der Brücke, \
        weil es ein Fest im Dorf ist und das Wetter gut wird.";
    assert_eq!(english(german), [Reason::Language(Some(Language::German))]);
    assert_eq!(reasons(Content::Prose(Language::German), german.as_bytes()), []);
    let russian = "Договор хранит средства пользователя и выплачивает награду каждому участнику.";
    assert_eq!(english(russian), [Reason::Script(0)]);
    let cyrillic = Content::Prose(Language::Other(Script::Cyrillic));
    assert_eq!(reasons(cyrillic, russian.as_bytes()), []);
}

#[test]
fn the_earlier_of_two_copies_is_the_original() {
    let row = "The bond of an operator is burned by half when a batch of its is struck out.";
    let file = "A voucher carries the cumulative ceiling of the channel that it was signed for.";
    let intake = Intake::new(Rules::new(Content::Prose(Language::English)), row, &[row]);
    let changed = file.to_uppercase().replace(' ', "  ");
    let files = [row.as_bytes(), file.as_bytes(), changed.as_bytes(), b"\xff", b"\xff"];

    let verdicts = intake.judge(&files, Some(&[9_000; 5])).unwrap();

    assert_eq!(verdicts[0].reasons, [Reason::Copy(Original::Row(0))]);
    assert_eq!(verdicts[1].reasons, []);
    assert_eq!(verdicts[2].reasons, [Reason::Copy(Original::File(1))]);
    assert_eq!(verdicts[4].reasons, [Reason::NotText(0)]);
    assert!(intake.judge(&files, Some(&[1, 2])).is_err());
}

#[test]
fn vectors_speak_for_a_file_in_other_words() {
    let rows: Vec<String> = (0..20)
        .map(|i| format!("The batch number {i} is struck out and its bond is burned."))
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let rules = Rules::new(Content::Prose(Language::English));
    let intake = Intake::new(rules, "Disputes about batches", &rows);
    let file = "Whoever cheats in settling accounts forfeits the deposit that they had to leave.";

    let verdict = |cosine| intake.judge(&[file.as_bytes()], cosine).unwrap().remove(0);

    assert_eq!(verdict(None).reasons, [Reason::OffTopic]);
    assert_eq!(verdict(Some(&[500])).reasons, [Reason::OffTopic]);
    assert_eq!(verdict(Some(&[-10_000])).reasons, [Reason::OffTopic]);
    assert_eq!(verdict(Some(&[4_000])).reasons, []);
}
