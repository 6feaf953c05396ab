"""Tiny tokenizers of every kind of folder, and what `sentencepiece` and `transformers` make of texts."""

import io
import json
import random
from pathlib import Path

import sentencepiece as spm
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, GPT2Tokenizer, Qwen2Tokenizer

from models import clear

# The tokenizers library looks up whole graphemes in the rules of normalisation, SentencePiece code
# points, so they differ here where marks are composed.
PILE = "e\u0301\u0301\u0301\u0301"
HOSTILE = [
    "",
    " ",
    "  ",
    "\n",
    "a",
    " a",
    "a ",
    "  two  spaces   three",
    "tab\tnew\nline\r\n",
    "<0x41><0xFF>",
    "\u2581under\u2581score\u2581",
    "\x00\x01\x7f",
    "caf\u00e9 cafe\u0301 \ufb01ne \uff21\uff22\uff23",
    "\u6f22\u5b57\u3068\u304b\u306a",
    "\U0001f980\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05e2\u05d1\u05e8\u05d9\u05ea",
    "1234567890 3.14 1,000,000",
    "don't I'LL we've",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "function transfer(address to, uint256 amount) external returns (bool);",
    "\u00a0\u2003\u3000\ufeff",
    PILE,
    "\ud7ff\ue000\ufffd",
]


def corpus() -> list[str]:
    """English-like and Solidity-like lines from a small grammar."""
    rng = random.Random(1612)
    nouns = "owner token channel balance adapter model ledger contributor operator stake".split()
    verbs = "transfers settles reads writes proves claims opens closes slashes".split()
    code = ["uint256", "address", "mapping", "returns", "external", "view", "require", "emit"]
    lines = []
    for _ in range(1200):
        words = [rng.choice(["The", "A", "Every", "No"]), rng.choice(nouns), rng.choice(verbs)]
        words += [rng.choice(["the", "its", "each", "12", "2024"]), rng.choice(nouns) + rng.choice([".", "!", "?"])]
        lines.append(" ".join(words))
        lines.append(f"{rng.choice(code)} {rng.choice(nouns)}({rng.choice(code)} {rng.choice(nouns)}) {rng.choice(code)};")
    lines += ["<0x41><0xFF> F(x) < 4 > 1", "caf\u00e9 na\u00efve \u00fcber", "\u6f22\u5b57 \u3068 \u304b\u306a"] * 20
    return lines


def texts() -> list[str]:
    rng = random.Random(7)
    lines = corpus()
    letters = "abcdefgh ETAON  \n\t0123.,;()<>_{}\u00e9\u6f22\U0001f980\u2581"
    mixed = ["".join(rng.choice(letters) for _ in range(rng.randrange(1, 40))) for _ in range(60)]
    return HOSTILE + [rng.choice(lines) for _ in range(20)] + mixed


def train(path: Path, **settings) -> spm.SentencePieceProcessor:
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()),
        model_writer=model,
        vocab_size=400,
        character_coverage=1.0,
        num_threads=1,
        hard_vocab_limit=settings["model_type"] == "bpe",
        minloglevel=2,
        **settings,
    )
    path.parent.mkdir(parents=True)
    path.write_bytes(model.getvalue())
    return spm.SentencePieceProcessor(model_proto=model.getvalue())


def write(folder: Path, **files) -> None:
    for name, value in files.items():
        name = {"config": "tokenizer_config.json", "added": "added_tokens.json"}.get(name, name)
        (folder / name).write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def cases_of(encode, decode, more=()) -> list[dict]:
    cases = []
    for text in [*texts(), *more]:
        ids = encode(text)
        cases.append({"text": text, "ids": ids, "decoded": decode(ids)})
    return cases


def sentencepiece_folders(root: Path) -> None:
    llama = dict(
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        allow_whitespace_only_pieces=True,
    )
    made = {
        # LLaMA 2 and Mistral.
        "spm_bpe": (llama, {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True}),
        # Gemma: no space before the text, pieces of several spaces, turns.
        "spm_gemma": (
            llama
            | dict(
                add_dummy_prefix=False,
                pad_id=0,
                eos_id=1,
                bos_id=2,
                unk_id=3,
                bos_piece="<bos>",
                eos_piece="<eos>",
                user_defined_symbols=["<start_of_turn>", "<end_of_turn>", "\u2581\u2581", "\u2581\u2581\u2581"],
            ),
            {"tokenizer_class": "GemmaTokenizer", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>", "add_bos_token": True},
        ),
        # ChatGLM 3: special tokens stand behind the pieces.
        "spm_chatglm": (llama, {"tokenizer_class": "ChatGLMTokenizer"}),
        # Compatibility normalisation, extra spaces removed, bytes for the unknown.
        "spm_unigram": (dict(model_type="unigram", byte_fallback=True), {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}),
        # Unknown characters become <unk>.
        "spm_unigram_unknown": (dict(model_type="unigram", normalization_rule_name="identity"), {"unk_token": "<unk>", "add_bos_token": False}),
    }
    for name, (settings, config) in made.items():
        folder = root / name
        model = train(folder / "tokenizer.model", **settings)
        write(folder, config=config)
        cases = cases_of(model.encode, model.decode)
        if name == "spm_unigram":
            cases = [case for case in cases if case["text"] != PILE]
        for case in cases if name == "spm_unigram_unknown" else []:
            # <unk> is a special token to transformers: it has no text, so the text begins after it.
            case["decoded"] = case["decoded"].replace(" \u2047 ", "").lstrip(" ")
        write(folder, **{"cases.json": cases})


def byte_level_folders(root: Path) -> None:
    for name, kind in (("files_gpt2", GPT2Tokenizer), ("files_qwen2", Qwen2Tokenizer)):
        folder = root / name
        folder.mkdir(parents=True)
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=420,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=["<|endoftext|>"],
            show_progress=False,
        )
        tokenizer.train_from_iterator(corpus(), trainer)
        model = json.loads(tokenizer.to_str())["model"]
        write(folder, **{"vocab.json": model["vocab"]})
        merges = "".join(f"{a} {b}\n" for a, b in model["merges"])
        (folder / "merges.txt").write_text("#version: 0.2\n" + merges)
        config = {"tokenizer_class": kind.__name__, "eos_token": "<|endoftext|>", "bos_token": None, "unk_token": "<|endoftext|>"}
        write(folder, config=config)
        if name == "files_qwen2":
            write(folder, added={"<|im_start|>": 420, "<|im_end|>": 421})
            config |= {"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]}
            write(folder, config=config)
        hf = AutoTokenizer.from_pretrained(folder)
        decode = lambda ids: hf.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        write(folder, **{"cases.json": cases_of(lambda text: hf.encode(text, add_special_tokens=False), decode)})


def json_folders(root: Path) -> None:
    """`tokenizer.json` of the kinds that `transformers` writes for SentencePiece models."""
    for name in ("spm_bpe", "spm_gemma"):
        folder = root / name.replace("spm", "json")
        hf = AutoTokenizer.from_pretrained(root / name)
        hf.save_pretrained(folder)
        for path in folder.iterdir():
            if path.name not in ("tokenizer.json", "tokenizer_config.json"):
                path.unlink()
        decode = lambda ids: hf.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        cases = cases_of(lambda text: hf.encode(text, add_special_tokens=False), decode)
        for case in cases[:3] + cases[-3:]:
            case["prompt"] = hf.encode(case["text"])
        write(folder, **{"cases.json": cases})
    folder = root / "json_unigram"
    folder.mkdir()
    model = spm.SentencePieceProcessor(str(root / "spm_unigram_unknown" / "tokenizer.model"))
    pieces = [(model.id_to_piece(i), model.get_score(i)) for i in range(model.vocab_size())]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.add_special_tokens(["<unk>", "</s>"])
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("``", '"')])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.save(str(folder / "tokenizer.json"))
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    write(folder, **{"cases.json": cases_of(encode, tokenizer.decode)})


def make_tokenizers(root: Path) -> None:
    clear(root)
    sentencepiece_folders(root)
    byte_level_folders(root)
    json_folders(root)

