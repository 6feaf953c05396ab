#!/usr/bin/env python3
"""Makes the pretraining text: JSON lines of {"source", "text"}, in a fixed order.

Takes Solidity files under permissive licences and Python's help topics, cuts Solidity into chunks
(contract heads, functions, other members), and drops every chunk that repeats

- a chunk of the Datanet sources (OpenZeppelin, solady) or of the held-out text (forge-std), or
- an earlier chunk of the corpus itself,

exactly (white space and comments aside) or nearly: Jaccard similarity of the sets of 5-token
shingles at least 0.8, with or without comments.
"""

import argparse
import hashlib
import json
import pathlib
import re
import sys
from pydoc_data import topics

PERMISSIVE = {"mit", "apache-2.0", "isc", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "unlicense", "0bsd"}
EXCLUDED_PATHS = re.compile(r"openzeppelin|solady|forge-std|ds-test|/oz/|/flattened/", re.I)
# Copies of the Datanet sources in older versions, which differ too much to count as near repeats.
EXCLUDED_TEXT = re.compile(r"OpenZeppelin Contracts (v|\(last)|@author Solady|github\.com/(vectorized/solady|OpenZeppelin)", re.I)
TOKEN = re.compile(r"\w+|[^\w\s]")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
SPDX = re.compile(r"SPDX-License-Identifier:\s*([^\n*]+)")
# Machine-made tables of overloads; they would make the held-out text look easy.
GENERATED = {"console.sol", "safeconsole.sol"}
SHINGLE = 5
NEAR = 0.8


def chunks(source):
    """Cuts a Solidity source into pieces whose concatenation is the source.

    A piece ends where a statement or body at contract level (brace depth 0 or 1) ends, so a doc
    comment stays with what it documents.
    """
    pieces, start, depth, i = [], 0, 0, 0
    while i < len(source):
        two = source[i : i + 2]
        char = source[i]
        if two == "//":
            i = source.find("\n", i)
            i = len(source) if i < 0 else i
            continue
        if two == "/*":
            end = source.find("*/", i + 2)
            i = len(source) if end < 0 else end + 2
            continue
        if char in "\"'":
            i += 1
            while i < len(source) and source[i] != char and source[i] != "\n":
                i += 2 if source[i] == "\\" else 1
            i += 1
            continue
        ends = False
        if char == "{":
            ends = depth == 0 and re.search(r"\b(contract|library|interface)\b", COMMENT.sub("", source[start:i]))
            depth += 1
        elif char == "}":
            depth = max(depth - 1, 0)
            ends = depth <= 1
        elif char == ";":
            ends = depth <= 1
        i += 1
        if ends:
            newline = source.find("\n", i)
            if newline >= 0 and not source[i:newline].strip():
                i = newline + 1
            pieces.append(source[start:i])
            start = i
    if source[start:].strip():
        pieces.append(source[start:])
    return pieces


def tokens(text):
    return TOKEN.findall(text)


def shingles(words):
    return {hash_words(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))}


def hash_words(words):
    digest = hashlib.blake2b("\0".join(words).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


class Seen:
    """Chunks seen so far, searchable for exact and near repeats."""

    def __init__(self):
        self.exact, self.sizes, self.holders = set(), [], {}

    def variants(self, text):
        yield tokens(text)
        yield tokens(COMMENT.sub(" ", text))

    def add(self, text):
        for words in self.variants(text):
            key = hash_words(words)
            if not words or key in self.exact:
                continue
            self.exact.add(key)
            mine = shingles(words)
            for shingle in mine:
                self.holders.setdefault(shingle, []).append(len(self.sizes))
            self.sizes.append(len(mine))

    def repeats(self, text):
        for words in self.variants(text):
            if not words:
                continue
            if hash_words(words) in self.exact:
                return True
            if len(words) >= SHINGLE and self.near(shingles(words)):
                return True
        return False

    def near(self, mine):
        # Of two sets with Jaccard similarity 0.8, the other holds at least 0.8 of mine, so it holds
        # one of any 0.2 |mine| + 1 of mine: only the rarest are looked up to find candidates.
        count = len(mine)
        rare = sorted(mine, key=lambda s: (len(self.holders.get(s, ())), s))[: int((1 - NEAR) * count) + 1]
        candidates = {holder for s in rare for holder in self.holders.get(s, ())}
        candidates = {c for c in candidates if NEAR * count <= self.sizes[c] <= count / NEAR}
        if not candidates:
            return False
        common = dict.fromkeys(candidates, 0)
        for shingle in mine:
            for holder in self.holders.get(shingle, ()):
                if holder in common:
                    common[holder] += 1
        return any(n / (count + self.sizes[c] - n) >= NEAR for c, n in common.items())


def solidity_files(root):
    files = (path for path in root.rglob("*.sol") if path.is_file())
    return sorted(files, key=lambda path: path.relative_to(root).as_posix())


def read(path):
    text = path.read_bytes().decode("utf-8", errors="replace").replace("\r\n", "\n")
    return "" if "\ufffd" in text else text


def permissive(text):
    found = SPDX.search(text)
    if not found:
        return False
    choices = re.split(r"\s+or\s+", found.group(1).strip().strip("()").lower())
    return any(choice.strip(" ()") in PERMISSIVE for choice in choices)


def doc_text(chunk):
    """The words of a chunk's doc comment, and its code; None if it has no usable comment."""
    match = re.match(r"\s*(/\*\*.*?\*/|(?:\s*///[^\n]*\n)+)", chunk, re.S)
    if not match:
        return None
    lines = [re.sub(r"^\s*(/\*\*|\*/|\*|///)\s?", "", line).strip() for line in match.group(1).splitlines()]
    words = " ".join(line.removesuffix("*/").strip() for line in lines if line and not line.startswith("@inheritdoc"))
    words = re.sub(r"^@(notice|dev|title)\s+", "", words.strip())
    code = chunk[match.end() :].strip("\n")
    if len(words) < 20 or len(words) > 400 or not re.match(r"\s*function\b", code) or "{" not in code:
        return None
    return words.split(" @")[0].strip(), re.sub(r"(?m)^    ", "", code)


def chat(question, answer):
    return f"<|user|>\n{question}<|end|>\n<|assistant|>\n{answer}<|end|>\n"


def solidity_documents(roots, seen, counts):
    """Files with repeated chunks left out, and question-and-answer pairs from their doc comments."""
    for package, root in roots:
        for path in solidity_files(root):
            name = package + "/" + path.relative_to(root).as_posix()
            text = read(path)
            if EXCLUDED_PATHS.search("/" + name) or EXCLUDED_TEXT.search(text) or not permissive(text):
                counts["files left out by path, text or licence"] += 1
                continue
            kept, pairs = [], []
            for chunk in chunks(text):
                code = COMMENT.sub(" ", chunk).strip()
                # Closing braces and the lines every file starts with are not text to be deduplicated.
                frame = code == "}" or code.startswith(("pragma", "import"))
                if not frame:
                    if seen.repeats(chunk):
                        counts["chunks left out as repeats"] += 1
                        continue
                    seen.add(chunk)
                    pair = doc_text(chunk)
                    if pair and hash_words(tokens(chunk)) % 4 == 0:
                        pairs.append(chat(*pair))
                kept.append((frame, chunk))
            if all(frame for frame, _ in kept):
                continue
            counts["files"] += 1
            body = re.sub(r"[ \t]*// *SPDX[^\n]*\n", "", "".join(chunk for _, chunk in kept))
            yield name, body.strip() + "\n"
            if pairs:
                yield name + "#pairs", "".join(pairs)


def english_documents():
    for name in sorted(topics.topics):
        text = topics.topics[name].strip()
        yield f"pydoc:{name}", text + "\n"
        yield f"pydoc:{name}#pair", chat(f"Explain {name} in Python.", text.split("\n\n")[-1][:600])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=pathlib.Path, required=True, help="node_modules with the training packages")
    parser.add_argument("--datanets", type=pathlib.Path, nargs="+", required=True, help="folders of Datanet sources")
    parser.add_argument("--held-out", type=pathlib.Path, required=True, help="folder of the held-out Solidity text")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    manifest = json.loads((pathlib.Path(__file__).parent / "package.json").read_text())
    seen = Seen()
    for root in [*args.datanets, args.held_out]:
        for path in solidity_files(root):
            for chunk in chunks(read(path)):
                seen.add(chunk)
    counts = {"files": 0, "files left out by path, text or licence": 0, "chunks left out as repeats": 0}
    roots = [(name, args.packages / name) for name in sorted(manifest["dependencies"])]
    missing = [root for _, root in roots if not root.is_dir()]
    if missing:
        sys.exit(f"package not installed: {missing[0]}")
    args.out.mkdir(parents=True, exist_ok=True)
    written = 0
    with (args.out / "train.jsonl").open("w") as out:
        for name, text in [*solidity_documents(roots, seen, counts), *english_documents()]:
            out.write(json.dumps({"source": name, "text": text}) + "\n")
            written += len(text)
    with (args.out / "held_out.jsonl").open("w") as out:
        for path in solidity_files(args.held_out):
            if path.name in GENERATED:
                continue
            out.write(json.dumps({"source": path.name, "text": read(path)}) + "\n")
    print(json.dumps({**counts, "characters": written}))


if __name__ == "__main__":
    main()
