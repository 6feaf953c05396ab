#!/usr/bin/env python3
"""Writes the vectors that the Solidity and the Rust tests share.

It shares no code with either: keccak, ABI encoding, trees and fees are written out here from their definitions.
Numbers are decimal strings, bytes are 0x hex. Run it from anywhere; the files appear beside it.
"""

import json
import pathlib

HERE = pathlib.Path(__file__).parent
MASK = (1 << 64) - 1
OPEN = 10**9  # gwei


# Keccak-256 (FIPS 202's permutation, the padding from before it)


def rotate(value, bits):
    bits %= 64
    return ((value << bits) | (value >> (64 - bits))) & MASK


def round_constants():
    register = 1
    for _ in range(24):
        constant = 0
        for j in range(7):
            if register & 1:
                constant |= 1 << ((1 << j) - 1)
            register <<= 1
            if register & 0x100:
                register ^= 0x171
        yield constant


ROUND_CONSTANTS = list(round_constants())


def permute(a):
    for constant in ROUND_CONSTANTS:
        c = [a[x][0] ^ a[x][1] ^ a[x][2] ^ a[x][3] ^ a[x][4] for x in range(5)]
        d = [c[(x - 1) % 5] ^ rotate(c[(x + 1) % 5], 1) for x in range(5)]
        a = [[a[x][y] ^ d[x] for y in range(5)] for x in range(5)]
        x, y = 1, 0
        current = a[x][y]
        for t in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            current, a[x][y] = a[x][y], rotate(current, (t + 1) * (t + 2) // 2)
        a = [[a[x][y] ^ (~a[(x + 1) % 5][y] & a[(x + 2) % 5][y] & MASK) for y in range(5)] for x in range(5)]
        a[0][0] ^= constant
    return a


def keccak(data):
    rate = 136
    padded = bytearray(data) + b"\x01" + b"\x00" * (-(len(data) + 1) % rate)
    padded[-1] |= 0x80
    a = [[0] * 5 for _ in range(5)]
    for start in range(0, len(padded), rate):
        for i in range(rate // 8):
            lane = int.from_bytes(padded[start + 8 * i : start + 8 * i + 8], "little")
            a[i % 5][i // 5] ^= lane
        a = permute(a)
    return b"".join(a[i % 5][i // 5].to_bytes(8, "little") for i in range(4))


assert keccak(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
assert keccak(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
assert keccak(b"a" * 136).hex() == "a6c4d403279fe3e0af03729caada8374b5ca54d8065329a3ebcaeb4b60aa386e"


# Trees


def word(value):
    """A static ABI word: an unsigned integer, or bytes already 32 long."""
    return value if isinstance(value, bytes) else value.to_bytes(32, "big")


def leaf_of(*words):
    return keccak(keccak(b"".join(word(value) for value in words)))


def layers_of(leaves):
    layers = [leaves]
    while len(layers[-1]) > 1:
        below = layers[-1]
        above = [keccak(min(pair) + max(pair)) for pair in zip(below[0::2], below[1::2])]
        layers.append(above + below[len(below) & ~1 :])
    return layers


def proof_of(layers, position):
    proof = []
    for layer in layers[:-1]:
        if position ^ 1 < len(layer):
            proof.append(layer[position ^ 1])
        position //= 2
    return proof


def show(data):
    return "0x" + data.hex()


def row_tree(name, texts, canonical):
    """`canonical` maps a row to the first row of its duplicate cluster, where that is another."""
    hashes = [keccak(text.encode()) for text in texts]
    clusters = [hashes[canonical.get(i, i)] for i in range(len(texts))]
    contributors = [keccak(b"contributor %d" % (i % 3))[12:] for i in range(len(texts))]
    leaves = [
        leaf_of(i, hashes[i], int.from_bytes(contributors[i], "big"), clusters[i]) for i in range(len(texts))
    ]
    layers = layers_of(leaves)
    return {
        "name": name,
        "root": show(layers[-1][0]),
        "rows": [
            {
                "index": str(i),
                "text": texts[i],
                "rowHash": show(hashes[i]),
                "contributor": show(contributors[i]),
                "clusterHash": show(clusters[i]),
                "leaf": show(leaves[i]),
                "proof": [show(node) for node in proof_of(layers, i)],
            }
            for i in range(len(texts))
        ],
    }


def merkle():
    texts = ["", "plain", "tab\tand\nline", "naïve café", "日本語の行", "🦀", "a" * 300]
    return {
        "rowTrees": [
            row_tree("one row", texts[1:2], {}),
            row_tree("two rows", texts[1:3], {}),
            row_tree("three rows, the last promoted", texts[1:4], {}),
            row_tree("five rows, the last promoted twice", texts[:5], {}),
            row_tree("seven rows", texts, {}),
            row_tree("eleven rows with duplicates", texts + ["plain", "Plain", "🦀", "row"], {7: 1, 8: 1, 9: 5}),
        ],
    }


# Fees

DEFAULT = (1000, 2000, 2000, 5000)


def ceil_div(numerator, denominator):
    return -(-numerator // denominator)


def fee_case(name, tokens, price, bps=DEFAULT):
    (tokens_in, tokens_out), (rate_in, rate_out, platform) = tokens, price
    fee = ceil_div(tokens_in * rate_in, 1000) + ceil_div(tokens_out * rate_out, 1000) + platform
    floors = [fee * share // 10_000 for share in bps]
    assert sum(bps) == 10_000 and fee < 2**64
    remainder = fee - sum(floors)
    names = ["inputTokens", "outputTokens", "inputRate", "outputRate", "platformFee"]
    names += ["platformBps", "modelBps", "stakersBps", "contributorsBps"]
    names += ["fee", "treasury", "model", "stakers", "contributors"]
    values = [tokens_in, tokens_out, rate_in, rate_out, platform, *bps, fee, floors[0] + remainder, *floors[1:]]
    return {"name": name} | {key: str(value) for key, value in zip(names, values)}


def influence_case(name, fee, influence_bps, bps=DEFAULT):
    contributors = fee * bps[3] // 10_000
    return {
        "name": name,
        "fee": str(fee),
        "contributorsBps": str(bps[3]),
        "influenceBps": str(influence_bps),
        "pay": str(contributors * influence_bps // 10_000),
    }


def fee_split():
    rates = (OPEN // 5, 6 * OPEN // 10, 8 * OPEN // 100)
    fees = [
        fee_case("1200 tokens in and 800 out cost 0.8 OPEN", (1200, 800), rates),
        fee_case("one OPEN", (0, 0), (0, 0, OPEN)),
        fee_case("nothing", (0, 0), (0, 0, 0)),
        fee_case("one gwei goes to the treasury", (0, 0), (0, 0, 1)),
        fee_case("each product rounds up by itself", (1, 1), (1, 1, 0)),
        fee_case("an exact thousand does not round up", (1000, 2000), (7, 11, 13)),
        fee_case("one past a thousand rounds up", (1001, 2001), (7, 11, 13)),
        fee_case("all to the contributors", (10, 10), rates, (0, 0, 0, 10_000)),
        fee_case("all to the platform", (10, 10), rates, (10_000, 0, 0, 0)),
        fee_case("every share leaves a remainder", (0, 0), (0, 0, 9_999), (3333, 3333, 3333, 1)),
        fee_case("highest price, 2^23 tokens each way", (2**23, 2**23), (10**15, 10**15, 10**15)),
    ]
    state = 0x4F50454E
    for i in range(24):
        draws = []
        for _ in range(8):
            state = (state * 6364136223846793005 + 1442695040888963407) & MASK
            draws.append(state >> 33)
        tokens = (draws[0] % 200_000, draws[1] % 100_000)
        price = (draws[2] % (10 * OPEN), draws[3] % (10 * OPEN), draws[4] % OPEN)
        cuts = sorted(draw % 10_001 for draw in draws[5:])
        bps = (cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1], 10_000 - cuts[2])
        fees.append(fee_case(f"drawn {i}", tokens, price, bps))
    influence = [
        influence_case("25% influence on one OPEN is 0.125 OPEN", OPEN, 2500),
        influence_case("all influence takes the contributors' share", OPEN, 10_000),
        influence_case("floors twice", 3, 9_999),
    ]
    assert fees[0]["fee"] == "800000000" and influence[0]["pay"] == "125000000"
    return {"fees": fees, "influence": influence}


def write(name, vectors):
    text = json.dumps(vectors, indent=2, ensure_ascii=False) + "\n"
    (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write("fee_split.json", fee_split())
    write("merkle.json", merkle())
