"""The project's Solidity Datanets: functions of OpenZeppelin Contracts and solady, shared out to accounts by their folders.
The project's base model learns them by LoRA. Cut as `openledger datanet` cuts them."""

import json
import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from decoder import IGNORED, Decoder, mean_hidden, token_losses
from lora import Recipe, adapt
from task import Task

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models/openledger-tiny"
BOS = 1
# Package, and folders in it; the first whose path a file begins with is its account.
PACKAGES = {
    "node_modules/@openzeppelin/contracts": [
        "access/|metatx/|finance/", "account/|crosschain/", "governance/", "proxy/|interfaces/", "token/ERC20/", "token/",
        "utils/cryptography/", "utils/structs/", "utils/",
    ],
    "node_modules/solady/src": ["accounts/", "auth/", "tokens/", "utils/Lib", "utils/"],
}
CALLABLE = re.compile(r"\s*(function|modifier|constructor|receive|fallback)\b")
CONTAINER = re.compile(r"\b(?:contract|library|interface)\s+(\w+)[^;{]*$")


def blank(source: str) -> str:
    """Comments and strings as spaces, so that braces and semicolons that are left are code."""
    pattern = r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), source, flags=re.S)


def functions(source: str):
    """(contract, text) of every function, modifier and constructor with the comments above it."""
    code, contract, depth, start = blank(source), "", 0, 0
    for at, sign in enumerate(code):
        if sign == "{":
            name = CONTAINER.search(code[start:at]) if depth == 0 else None
            if name:
                contract, start = name[1], at + 1
            depth += 1
        elif sign == "}":
            depth = max(depth - 1, 0)
            if depth == 1:
                if CALLABLE.match(code, start):
                    yield contract, source[start : at + 1].strip("\n")
                start = at + 1
            elif depth == 0:
                start = at + 1
        elif sign == ";" and depth == 1:
            start = at + 1


def dedent(text: str) -> str:
    indent = len(text) - len(text.lstrip(" "))
    return "\n".join(line[min(indent, len(line) - len(line.lstrip(" "))) :].rstrip() for line in text.splitlines())


class Solidity(Task):
    name = "solidity"
    stack = 2
    logra = 64

    def __init__(self, quick: bool, store):
        self.longest = 64 if quick else 96
        rows, queries = (120, 20) if quick else (320, 40)
        self.recipe = Recipe(epochs=3 if quick else 4, batch=8, rate=4e-3, adam=True)
        self.subsets, self.seeds = (10, 1) if quick else (40, 1)
        self.tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
        self.accounts = sum(len(folders) for folders in PACKAGES.values())
        pieces = self.pieces()
        order = torch.randperm(len(pieces), generator=torch.Generator().manual_seed(17)).tolist()
        chosen = sorted(order[:rows])
        self.lines, self.asked = [pieces[i] for i in chosen], [pieces[i] for i in sorted(order[rows : rows + queries])]
        self.rows = self.encode([text for _, text in self.lines])
        self.queries = self.encode([text for _, text in self.asked], from_half=True)
        self.kinds = torch.tensor([float(account) for account, _ in self.lines])
        self.model = adapt(base(), rank=4, scale=2.0)

    def pieces(self):
        """(account, text) of every distinct function that fits, in path order."""
        found, first = {}, 0
        for package, folders in PACKAGES.items():
            for path in sorted((ROOT / package).rglob("*.sol")):
                name = path.relative_to(ROOT / package).as_posix()
                account = next((i for i, folder in enumerate(folders) if re.match(folder, name)), None)
                if account is None:
                    continue
                for contract, text in functions(path.read_text()):
                    text = f"// {contract}\n{dedent(text)}"
                    if "{" in blank(text) and 16 <= len(self.tokenizer.encode(text).ids) < self.longest:
                        found.setdefault(text, first + account)
            first += len(folders)
        return [(account, text) for text, account in found.items()]

    def encode(self, texts, from_half: bool = False):
        x = torch.full((len(texts), self.longest), BOS)
        y = torch.full((len(texts), self.longest), IGNORED)
        for row, text in enumerate(texts):
            codes = torch.tensor([BOS] + self.tokenizer.encode(text).ids[: self.longest])
            begin = len(codes) // 2 if from_half else 0
            x[row, : len(codes) - 1] = codes[:-1]
            y[row, begin : len(codes) - 1] = codes[begin + 1 :]
        return x, y

    def losses(self, logits, y):
        return token_losses(logits, y)

    def represent(self, x, y):
        return mean_hidden(self.model, x, y)

    def spoil(self, data, rows, generator):
        """The body of another row under a row's own signature."""
        split = lambda text: (text[: blank(text).index("{")], text[blank(text).index("{") :])
        x, y = data[0].clone(), data[1].clone()
        for row in rows.tolist():
            other = (row + 1 + torch.randint(len(self.lines) - 1, (1,), generator=generator).item()) % len(self.lines)
            spoilt = split(self.lines[row][1])[0] + split(self.lines[other][1])[1]
            x[row : row + 1], y[row : row + 1] = self.encode([spoilt])
        return x, y

    def owners(self):
        return self.kinds.long()

    def texts(self):
        return [text for _, text in self.lines], [text for _, text in self.asked]


def base() -> Decoder:
    config = json.loads((MODEL / "config.json").read_text())
    model = Decoder(config)
    weights = {name.removeprefix("model."): w.float() for name, w in load_file(MODEL / "model.safetensors").items()}
    weights.pop("lm_head.weight", None)
    model.load_state_dict(weights)
    return model
