"""Writes row_codec.json: ledger rows beside their cells, from the layout's table and nothing else.

Run: python3 make_row_vectors.py
"""
import json
from pathlib import Path

BIAS = 1 << 63
MODEL = bytes(range(0x20, 0x40))
CHANNEL = bytes(range(0x80, 0xA0))


def cell(number):
    return number.to_bytes(31, "big")


def left(*fields):
    """Fields (value, bytes) one after the other from the leading byte, then zeros."""
    return b"".join(value.to_bytes(size, "big") for value, size in fields).ljust(31, b"\0")


def account(kind, **of):
    if kind == "none":
        return cell(0)
    if kind == "draw":
        return b"\1" + CHANNEL[:30]
    earner = of.get("earner", 0)
    if kind == "fixed":
        return cell((2 << 240) | earner)
    model = int.from_bytes(MODEL, "big") >> 56
    return cell(({"pool": 3, "balance": 4}[kind] << 240) | model << 32 | earner)


def row(name, earner, amount, of, value, info):
    cells = [cell(earner), cell(amount), account(**of), cell(value + BIAS), *info]
    cells += [bytes(31)] * (8 - len(cells))
    # Numbers are decimal strings: some are above 2^53.
    posted = {"earner": str(earner), "amount": str(amount), "value": str(value)}
    return {"name": name, "account": of, **posted, "cells": ["0x" + c.hex() for c in cells]}


def valid():
    none, pool, draw = {"kind": "none"}, {"kind": "pool"}, {"kind": "draw"}
    fixed, balance = {"kind": "fixed", "earner": 3}, {"kind": "balance", "earner": 70_000}
    operator, settlement = bytes(range(1, 21)), bytes(range(41, 61))
    head = [left((1, 1), (161_201, 8), (29_000_000, 8), (3, 4), (32, 4))]
    head += [cell(int.from_bytes(operator, "big")), cell(int.from_bytes(settlement, "big")), cell(2**63 - 1)]
    record = [left((3, 1), (1_000, 4), (2**32 - 1, 4), (7, 4), (1_790_000_000, 8), (2**64 - 1, 8), (2**16 - 2, 2))]
    record += [MODEL[:31], bytes(range(31)), bytes(range(100, 131))]
    payout = [left((8, 1), (200, 8), (93, 8), (5_000, 2), (12, 4)), cell((2**64 - 1 << 128) | (193 << 64) | 40)]
    fields = [(300, 2), (17, 2), (2**33 + 5, 8), (9, 2), (3, 2), (1, 2), (4, 2)]
    span = cell(int.from_bytes(b"".join(value.to_bytes(size, "big") for value, size in fields), "big"))
    fields = [(15, 1), (2**50 + 1, 8), (2**31 + 3, 4), (7, 2)]
    citation = cell(int.from_bytes(b"".join(value.to_bytes(size, "big") for value, size in fields), "big"))
    return [
        row("padding", 0, 0, none, 0, []),
        row("header", 0, 0, none, 0, head),
        row("carry", 0, 0, balance, -(2**63 - 1), [left((2, 1))]),
        row("record", 0, 0, draw, 2**63 - 1, record),
        row("treasury share", 0, 0, {"kind": "fixed", "earner": 1}, 100, [left((4, 1), (0, 1), (0, 4), (0, 4), (1, 1))]),
        row("owner share", 0, 0, fixed, 0, [left((4, 1), (1, 1), (2, 4), (5, 4), (2, 1))]),
        row("stakers share", 0, 0, fixed, 200, [left((4, 1), (2, 1), (0, 4), (0, 4), (255, 1))]),
        row("pool share", 0, 0, pool, 500, [left((5, 1), (32, 1), (2**68, 16), (4, 1))]),
        row("credit", 0, 0, balance, -250, [left((6, 1), (BIAS - 12_345, 8), (31, 1), (2**68 - 1, 16))]),
        row("credit of the smallest score", 0, 0, balance, -1, [left((6, 1), (0, 8), (0, 1), (BIAS, 16))]),
        row("pool closing", 1, 7, pool, -500, [left((7, 1), (300, 8), (193, 8), (40, 8))]),
        row("payout", 70_000, 293, balance, -400, payout),
        row("fixed payout", 3, 2**63 - 1, fixed, -(2**63 - 1), [left((9, 1))]),
        row("largest integers", 2**32 - 1, 2**64 - 1, {"kind": "fixed", "earner": 2**32 - 1}, 2**63 - 1, [left((9, 1))]),
        row("smallest value", 0, 0, none, -BIAS, []),
        row("span pool", 0, 0, pool, 500, [left((10, 1), (32, 1), (2**68, 16), (37, 2))]),
        row("span credit", 0, 0, balance, 250, [left((11, 1), (2**40, 8), (31, 1), (2**68 - 1, 16), (69, 2)), span]),
        row("citation pool", 0, 0, pool, 500, [left((12, 1), (0, 1), (0, 16), (2**16 - 1, 2))]),
        row("citation credit", 0, 0, balance, 9, [left((13, 1), (2**48, 8), (0, 1), (2**48, 16), (6, 2)), citation]),
    ]


def invalid():
    def broken(name, message, **cells):
        whole = [bytes(31)] * 3 + [cell(BIAS)] + [bytes(31)] * 4
        for at, content in cells.items():
            whole[int(at[1:])] = content
        return {"name": name, "message": message, "cells": ["0x" + c.hex() for c in whole]}

    return [
        broken("earner of 33 bits", "earner index must be below 2^32, got 0x" + cell(2**32).hex(), c0=cell(2**32)),
        broken("amount of 65 bits", "amount must be below 2^64, got 0x" + cell(2**64).hex(), c1=cell(2**64)),
        broken("unknown account", "account key must have a known kind", c2=cell(5 << 240)),
        broken("fixed account with a model", "account key must have a known kind", c2=cell((2 << 240) | 1 << 32)),
        broken("pool account with an earner", "account key must have a known kind", c2=cell((3 << 240) | 1)),
        broken("nobody's account of kind 0", "account key must have a known kind", c2=cell(1)),
        broken("value of 65 bits", "value plus 2^63 must be below 2^64", c3=cell(2**64)),
        broken("unknown kind", "row kind must be from 0 to 13, got 14", c4=left((14, 1))),
        broken("padding with bytes", "unused bytes of a row of kind 0 must be zero", c4=left((0, 1), (1, 1))),
        broken("padding with another cell", "in cell 7", c7=cell(1)),
        broken("unknown share", "share kind must be at most 2, got 3", c4=left((4, 1), (3, 1))),
        broken("factor above the whole", "factor must be at most 10000, got 10001", c4=left((8, 1), (0, 16), (10_001, 2))),
        broken("operator of 21 bytes", "operator must be below 2^160", c4=left((1, 1)), c5=cell(1 << 160)),
        broken("credit with trailing bytes", "in cell 4", c4=left((6, 1), (BIAS, 8), (0, 17), (1, 1))),
        broken("payout with sums of 193 bits", "sums through a payout must be below 2^192", c4=left((8, 1)), c5=cell(1 << 192)),
        broken("span of 161 bits", "a span must be below 2^160", c4=left((11, 1)), c5=cell(1 << 160)),
        broken("citation of 121 bits", "a citation must be below 2^120", c4=left((13, 1)), c5=cell(1 << 120)),
        broken("span pool with another cell", "in cell 5", c4=left((10, 1)), c5=cell(1)),
        broken("citation pool with trailing bytes", "in cell 4", c4=left((12, 1), (0, 19), (1, 1))),
        broken("citation credit with another cell", "in cell 6", c4=left((13, 1)), c6=cell(1)),
    ]


if __name__ == "__main__":
    ids = {"channel": "0x" + CHANNEL.hex(), "model": "0x" + MODEL.hex()}
    vectors = {**ids, "valid": valid(), "invalid": invalid()}
    Path(__file__).with_name("row_codec.json").write_text(json.dumps(vectors, indent=1) + "\n")
