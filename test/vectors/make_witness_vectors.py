"""Writes witness.json: records' witnesses beside their bytes and hashes, and where blobs hold them.

From the table of fields and the rule of the slots and nothing else. Run: python3 make_witness_vectors.py
"""
import json
from pathlib import Path

from make_ledger_vectors import keccak256

WIDTHS = {
    "channel": 32, "ceiling": 8, "model": 32, "priceVersion": 4, "prompt": 32, "seed": 8, "maxTokens": 8, "time": 8,
    "output": 32, "signature": 65}


def word(tag, i):
    return keccak256(f"{tag} {i}".encode())


def witness(i, dim, **given):
    signature = word("r", i) + word("s", i) + bytes([27 + i % 2])
    fields = {
        "channel": word("channel", i), "ceiling": 1_000_000 + i, "model": word("model", i), "priceVersion": i + 1,
        "prompt": word("prompt", i), "seed": 2**63 + i, "maxTokens": 64 + i, "time": 1_790_000_000 + i,
        "output": word("output", i), "signature": signature, **given}
    sketch = [(37 * i + 11 * k * k + k) % 256 - 128 for k in range(dim)]
    packed = b""
    for name, width in WIDTHS.items():
        value = fields[name]
        packed += value.to_bytes(width, "big") if isinstance(value, int) else value
    assert len(packed) == 229
    packed += bytes(x % 256 for x in sketch)
    text = lambda value: str(value) if isinstance(value, int) else "0x" + value.hex()
    shown = {name: text(value) for name, value in fields.items()}
    return packed, {**shown, "sketch": [str(x) for x in sketch], "bytes": text(packed), "hash": text(keccak256(packed))}


def layout(records, longest):
    cells = 8
    while 31 * cells < longest:
        cells *= 2
    symbols = 2 * cells
    while symbols < 2**19 and symbols // cells - 1 < records:
        symbols *= 2
    return symbols, cells


def blobs(symbols, cells, packed):
    per_blob = symbols // cells - 1
    header = bytes([0, 0]) + (31 * (symbols - 1)).to_bytes(4, "big") + bytes(26)
    made = [[header] + [bytes(32)] * (symbols - 1) for _ in range(-(-len(packed) // per_blob))]
    for ordinal, whole in enumerate(packed):
        padded = whole.ljust(31 * cells, b"\0")
        for j in range(cells):
            index = 1 + ordinal % per_blob + j * (symbols // cells)
            made[ordinal // per_blob][index] = b"\0" + padded[31 * j : 31 * j + 31]
    return ["0x" + b"".join(symbols).hex() for symbols in made]


def places(symbols, cells, ordinals):
    per_blob = symbols // cells - 1
    return [[str(k), str(k // per_blob), str(1 + k % per_blob)] for k in ordinals]


if __name__ == "__main__":
    largest = dict(ceiling=2**64 - 1, priceVersion=2**32 - 1, seed=2**64 - 1, maxTokens=2**64 - 1, time=2**64 - 1)
    made = [witness(0, 0), witness(1, 16), witness(2, 19), witness(3, 512), witness(4, 20, **largest)]
    choices = []
    for records, longest in [(1, 229), (1, 248), (1, 249), (2, 245), (7, 245), (8, 245), (1400, 741), (1400, 8421), (65_535, 229), (65_535, 249)]:
        symbols, cells = layout(records, longest)
        per_blob = symbols // cells - 1
        ends = {0, records // 2, per_blob - 1, per_blob, records - 1} & set(range(records))
        numbers = {"records": records, "longest": longest, "symbols": symbols, "cells": cells, "blobs": -(-records // per_blob)}
        shown = {name: str(value) for name, value in numbers.items()}
        choices.append({**shown, "places": places(symbols, cells, sorted(ends))})
    short = [packed for packed, _ in made if len(packed) <= 31 * 8] * 2
    filled = {"symbols": "32", "cells": "8", "witnesses": ["0x" + w.hex() for w in short], "blobs": blobs(32, 8, short)}
    vectors = {"witnesses": [shown for _, shown in made], "layouts": choices, "filled": filled}
    Path(__file__).with_name("witness.json").write_text(json.dumps(vectors, indent=1) + "\n")
