//! Where the good files are from and how the bad ones are made.

use std::{
    fs,
    path::{Path, PathBuf},
};

use attribution::quality::{Content, Language};
use rand::{Rng as _, SeedableRng as _, seq::IndexedRandom as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

/// Rows that a Datanet has and files that it is offered.
pub(super) struct Planted {
    pub(super) content: Content,
    pub(super) description: &'static str,
    pub(super) rows: Vec<String>,
    pub(super) good: Vec<String>,
    /// What is wrong with each, and its bytes.
    pub(super) bad: Vec<(&'static str, Vec<u8>)>,
}

/// The repository's contracts, cut into functions with their comments: every third is a row, the
/// others are good files.
pub(super) fn solidity() -> Planted {
    let mut pieces = Vec::new();
    for path in files(&root().join("contracts"), "sol") {
        functions(&fs::read_to_string(path).unwrap(), &mut pieces);
    }
    let content = Content::Code;
    let description = "Solidity functions of smart contracts for staking, payments, settlement, \
        governance and registries, with their comments";
    let (rows, good) = deal(pieces, content);
    let mut bad = broken(&rows, &good, 1);
    bad.extend(
        PYTHON.iter().chain(&SQL).map(|text| ("another language", text.as_bytes().to_vec())),
    );
    bad.extend(COOKING.iter().map(|text| ("off topic", text.as_bytes().to_vec())));
    Planted { content, description, rows, good, bad }
}

/// The documentation comments of the repository's contracts and Rust sources as paragraphs of
/// English: every third is a row, the others are good files.
pub(super) fn prose() -> Planted {
    let mut paragraphs = Vec::new();
    for folder in ["contracts", "attribution/src", "prover/src", "node/src", "inference/src"] {
        let ends = if folder == "contracts" { "sol" } else { "rs" };
        for path in files(&root().join(folder), ends) {
            comments(&fs::read_to_string(path).unwrap(), &mut paragraphs);
        }
    }
    let content = Content::Prose(Language::English);
    let description = "How a node attributes, records, batches, settles and proves paid calls to \
        models: payments, stakes, disputes, adapters and proofs";
    let (rows, good) = deal(paragraphs, content);
    let mut bad = broken(&rows, &good, 2);
    bad.extend(COOKING.iter().map(|text| ("off topic", text.as_bytes().to_vec())));
    bad.extend(FOREIGN.iter().map(|text| ("another language", text.as_bytes().to_vec())));
    Planted { content, description, rows, good, bad }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn files(dir: &Path, ends: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ends));
        } else if path.extension().is_some_and(|end| end == ends) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Functions with bodies, as whole lines: from the comment above to the line that closes.
fn functions(source: &str, found: &mut Vec<String>) {
    let mut piece = String::new();
    let mut inside = false;
    for line in source.lines() {
        let code = line.trim_start();
        if inside || code.starts_with("///") || code.starts_with("function ") {
            inside |= code.starts_with("function ");
            piece.push_str(line);
            piece.push('\n');
        } else {
            piece.clear();
        }
        let declared = inside && code.ends_with(';') && !piece.contains('{');
        if inside && (line == "    }" || declared) {
            if !declared {
                found.push(piece.clone());
            }
            (piece, inside) = (String::new(), false);
        }
    }
}

/// Runs of documentation comments of at least 25 words.
fn comments(source: &str, found: &mut Vec<String>) {
    let mut paragraph = String::new();
    for line in source.lines().chain([""]) {
        let text = line.trim_start();
        let said = text.strip_prefix("///").or(text.strip_prefix("//!")).map(str::trim);
        let more = said.filter(|said| !said.is_empty() && !said.starts_with(['#', '-', '`']));
        if let Some(more) = more {
            paragraph.push_str(more);
            paragraph.push(' ');
        } else if !paragraph.is_empty() {
            if paragraph.split_whitespace().count() >= 25 {
                found.push(paragraph.trim().to_owned());
            }
            paragraph.clear();
        }
    }
}

/// Shuffled pieces without copies, as the project's own clusters find them: 150 rows, 150 files.
fn deal(pieces: Vec<String>, content: Content) -> (Vec<String>, Vec<String>) {
    let clusters = attribution::estimate::duplicates::clusters(&pieces).unwrap();
    let mut kept: Vec<String> = pieces
        .into_iter()
        .zip(clusters.iter().enumerate())
        .filter(|(_, (place, cluster))| *place == **cluster as usize)
        .map(|(piece, _)| piece)
        .filter(|piece| content == Content::Code || !piece.contains("```"))
        .filter(|piece| piece.split_whitespace().count() >= 12)
        .collect();
    kept.shuffle(&mut ChaCha8Rng::seed_from_u64(1612));
    assert!(kept.len() >= 220, "{}", kept.len());
    let good = kept.split_off(kept.len() * 2 / 3);
    (kept, good)
}

/// Files spoilt in ways that do not depend on the topic.
fn broken(rows: &[String], good: &[String], seed: u64) -> Vec<(&'static str, Vec<u8>)> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut bad: Vec<(&'static str, Vec<u8>)> = Vec::new();
    let long: Vec<&String> = rows.iter().filter(|row| row.len() > 400).collect();
    for row in rows.choose_multiple(&mut random, 15) {
        bad.push(("exact copy", row.clone().into_bytes()));
    }
    for row in rows.choose_multiple(&mut random, 10) {
        let spread = row.to_uppercase().split_whitespace().collect::<Vec<_>>().join("   ");
        bad.push(("copy in capitals and other spaces", spread.into_bytes()));
    }
    for row in long.choose_multiple(&mut random, 15) {
        bad.push(("near copy", format!("{row}\nchanged").into_bytes()));
    }
    for file in good.choose_multiple(&mut random, 10) {
        let mut bytes = file.clone().into_bytes();
        for _ in 0..5 {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random_range(0x80..=0xff);
        }
        bad.push(("damaged bytes", bytes));
    }
    for file in good.choose_multiple(&mut random, 10) {
        // UTF-16 with its byte order mark, as some editors save it.
        let wide = [0xff, 0xfe].into_iter().chain(file.encode_utf16().flat_map(u16::to_le_bytes));
        bad.push(("another encoding", wide.collect()));
    }
    for _ in 0..5 {
        bad.push(("noise", (0..600).map(|_| random.random()).collect()));
        let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/";
        let blob = (0..2000).map(|_| *letters.choose(&mut random).unwrap()).collect();
        bad.push(("encoded data", blob));
        let word = |random: &mut ChaCha8Rng| -> String {
            (0..random.random_range(3..9)).map(|_| random.random_range('a'..='z')).collect()
        };
        let words: Vec<String> = (0..80).map(|_| word(&mut random)).collect();
        bad.push(("made-up words", words.join(" ").into_bytes()));
        let file = good.choose(&mut random).unwrap();
        bad.push((
            "one line again and again",
            format!("{}\n", file.lines().last().unwrap().trim()).repeat(40).into_bytes(),
        ));
        bad.push((
            "a few words",
            file.split_whitespace().take(4).collect::<Vec<_>>().join(" ").into_bytes(),
        ));
    }
    bad.push(("nothing", Vec::new()));
    bad.push(("spaces", b"   \n\t\n  ".to_vec()));
    bad.push((
        "advertising",
        "Buy cheap followers today! Click here now!\n".repeat(20).into_bytes(),
    ));
    bad
}

pub(super) const COOKING: [&str; 12] = [
    "Peel the potatoes and boil them in salted water until they are soft. Mash them with butter and warm milk, then season with nutmeg and serve with roasted onions.",
    "The river tour starts at the old castle and takes three hours. Bring a hat, sunscreen and enough to drink, because there is hardly any shade along the shore.",
    "Our team won the final after a penalty shoot-out. The goalkeeper saved two shots and was carried off the pitch on the shoulders of the cheering crowd.",
    "Water the tomatoes early in the morning and never wet their leaves. In July pinch out the side shoots so that the plant puts its strength into the fruit.",
    "The novel follows three sisters through a long winter in a fishing village. Its language is sparse, its humour dry, and its ending will break your heart.",
    "Stretch your calves before every run and increase the distance by no more than ten percent a week, otherwise your shins and knees will soon complain.",
    "Mix flour, eggs and sugar to a smooth dough, let it rest in the fridge for an hour, and bake the biscuits for twelve minutes until their edges turn golden.",
    "The violin concerto opens with a long orchestral passage before the soloist enters almost unnoticed, floating above the horns in a gentle minor melody.",
    "Cats sleep up to sixteen hours a day. Kittens and elderly cats sleep even longer, preferably in a warm spot by the window where birds can be watched.",
    "Paint the door frame first and let it dry overnight. Sand it lightly, wipe off the dust with a damp cloth, and apply the second coat with a narrow brush.",
    "The comet will be visible above the western horizon shortly after sunset. Binoculars help, but under a dark country sky its tail can be seen with bare eyes.",
    "Grandmother kept her wedding dress in a cedar chest under the stairs, wrapped in tissue paper and lavender, and showed it to us every Christmas morning.",
];

const PYTHON: [&str; 6] = [
    "import numpy as np\n\ndef softmax(logits, axis=-1):\n    shifted = logits - logits.max(axis=axis, keepdims=True)\n    exps = np.exp(shifted)\n    return exps / exps.sum(axis=axis, keepdims=True)\n",
    "class Dog(Animal):\n    def __init__(self, name, breed=None):\n        super().__init__(name)\n        self.breed = breed\n\n    def bark(self, times=3):\n        print('woof ' * times)\n",
    "with open('photos.csv') as handle:\n    reader = csv.DictReader(handle)\n    for line in reader:\n        album[line['title']].append(Path(line['file']).stem.lower())\n",
    "def fibonacci(n):\n    a, b = 0, 1\n    while a < n:\n        print(a, end=' ')\n        a, b = b, a + b\n    print()\n",
    "plt.figure(figsize=(8, 6))\nplt.plot(temperatures, label='Berlin')\nplt.xlabel('day')\nplt.ylabel('celsius')\nplt.legend()\nplt.savefig('weather.png')\n",
    "for filename in sorted(os.listdir(folder)):\n    if not filename.endswith('.jpg'):\n        continue\n    image = Image.open(os.path.join(folder, filename)).rotate(90)\n    image.thumbnail((128, 128))\n",
];

const SQL: [&str; 3] = [
    "SELECT customers.surname, COUNT(orders.id) AS purchases FROM customers LEFT JOIN orders ON orders.customer = customers.id WHERE customers.city = 'Lyon' GROUP BY customers.surname HAVING COUNT(orders.id) > 3 ORDER BY purchases DESC",
    "<html><head><title>Holiday pictures</title></head><body><h1>Our trip to Norway</h1><img src='fjord.jpg' alt='fjord'><p>We hiked every day and slept in wooden huts.</p></body></html>",
    "body { font-family: Verdana, sans-serif; margin: 2em; background: beige; } h1 { colour: darkgreen; text-align: center; } .sidebar { float: left; width: 12em; }",
];

const FOREIGN: [&str; 10] = [
    "Der Vertrag hält das Guthaben des Nutzers und zahlt jedem Teilnehmer seinen Anteil aus, sobald die Frist für Einsprüche abgelaufen ist und niemand einen Fehler bewiesen hat.",
    "Ein Knoten zeichnet jeden Aufruf auf, bündelt ihn mit anderen und legt die Abrechnung so ab, dass sie von allen geprüft werden kann, die das wollen.",
    "Le contrat garde les fonds de l'utilisateur et verse à chacun sa part dès que le délai de contestation est passé et que personne n'a prouvé une erreur dans le lot.",
    "Un nœud enregistre chaque appel, le regroupe avec les autres et publie le décompte pour que tous ceux qui le veulent puissent le vérifier par eux-mêmes.",
    "El contrato guarda los fondos del usuario y paga a cada participante su parte cuando el plazo de disputa ha pasado y nadie ha demostrado un error en el lote.",
    "Il contratto custodisce i fondi dell'utente e paga a ciascuno la sua quota quando il termine per le contestazioni è passato e nessuno ha dimostrato un errore nel lotto.",
    "O contrato guarda os fundos do usuário e paga a cada participante a sua parte quando o prazo de disputa passou e ninguém provou um erro no lote de registros.",
    "Het contract bewaart het geld van de gebruiker en betaalt elke deelnemer zijn deel zodra de termijn voor bezwaar voorbij is en niemand een fout heeft bewezen.",
    "Контракт хранит средства пользователя и выплачивает каждому участнику его долю, когда срок оспаривания прошёл и никто не доказал ошибку в пакете записей.",
    "合约保管用户的资金，在争议期结束且无人证明批次有错误之后，向每位参与者支付其应得的份额，并将记录发布供所有人核查。",
];
