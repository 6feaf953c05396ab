"""Writes ledger.json: records of a small batch and the ledger that they must give.

An implementation of its own, from the design's words: fees, shares, credits, netting, the flat
rule, the row grammar and the running sums. Run: python3 make_ledger_vectors.py
"""
import json
from pathlib import Path

from make_row_vectors import BIAS, cell, left

ROTATIONS = [[0, 36, 3, 41, 18], [1, 44, 10, 45, 2], [62, 6, 43, 15, 61], [28, 55, 25, 21, 56], [27, 20, 39, 8, 14]]


def keccak256(data):
    """Keccak-256 by the reference description (FIPS 202's permutation, original padding)."""
    mask, rate = 2**64 - 1, 136
    turn = lambda x, n: ((x << n) | (x >> (64 - n))) & mask if n else x
    constants, lfsr = [], 1
    for _ in range(24):
        constant = 0
        for j in range(7):
            constant |= (lfsr & 1) << ((1 << j) - 1)
            lfsr = (lfsr << 1) ^ (0x171 if lfsr & 0x80 else 0)
        constants.append(constant)
    a = [[0] * 5 for _ in range(5)]
    padded = bytearray(data + b"\1" + bytes(-(len(data) + 1) % rate))
    padded[-1] |= 0x80
    for start in range(0, len(padded), rate):
        for i in range(rate // 8):
            a[i % 5][i // 5] ^= int.from_bytes(padded[start + 8 * i : start + 8 * i + 8], "little")
        for constant in constants:
            c = [a[x][0] ^ a[x][1] ^ a[x][2] ^ a[x][3] ^ a[x][4] for x in range(5)]
            d = [c[(x - 1) % 5] ^ turn(c[(x + 1) % 5], 1) for x in range(5)]
            b = [[0] * 5 for _ in range(5)]
            for x in range(5):
                for y in range(5):
                    b[y][(2 * x + 3 * y) % 5] = turn(a[x][y] ^ d[x], ROTATIONS[x][y])
            a = [[b[x][y] ^ (~b[(x + 1) % 5][y] & b[(x + 2) % 5][y] & mask) for y in range(5)] for x in range(5)]
            a[0][0] ^= constant
    return b"".join(a[i % 5][i // 5].to_bytes(8, "little") for i in range(4))


def abi(*values):
    return b"".join(v if isinstance(v, bytes) else (v % 2**256).to_bytes(32, "big") for v in values)


def trunc(a, b):
    return abs(a) // b * (1 if a >= 0 else -1)


def settle(record):
    """Fee, fixed shares (kind, earner, weight, weights, amount), pool and credits of a record."""
    rates, split = record["price"], record["split"]
    fee = -(-record["tokensIn"] * rates[0] // 1000) - (-record["tokensOut"] * rates[1] // 1000) + rates[2]
    platform, model, stakers, pool = (fee * bps // 10_000 for bps in split)
    weights = sum(weight for _, weight in record["owners"])
    owners = [(1, earner, weight, weights, model * weight // weights) for earner, weight in record["owners"]]
    treasury = fee - stakers - pool - sum(owner[4] for owner in owners)
    shares = [(0, 1, 0, 0, treasury), *owners, (2, record["stakers"], 0, 0, stakers)]
    kept = sorted((s for s in record["scores"] if s[1]), key=lambda s: (-abs(s[1]), s[0]))[: record["maxCredits"]]
    magnitude = sum(abs(score) for _, score in kept)
    credits = [(earner, score, trunc(pool * score, magnitude)) for earner, score in kept]
    return fee, shares, pool, magnitude, credits


def build(batch):
    rows, fixed, pools, nets, draws = [], {}, {}, {}, {}

    def post(key, value, info, earner=0, amount=0):
        cells = [cell(earner), cell(amount), key, cell(value + BIAS), *info]
        rows.append(cells + [bytes(31)] * (8 - len(cells)))

    def model_key(kind, model, earner=0):
        return bytes([kind, 0]) + bytes.fromhex(model[2:52]) + earner.to_bytes(4, "big")

    for model, earner, net in sorted(batch["carries"]):
        post(model_key(4, model, earner), net, [left((2, 1))])
        nets[model, earner] = net
    total = 0
    for ordinal, record in enumerate(sorted(batch["records"], key=lambda r: (r["time"], r["voucher"]))):
        fee, shares, pool, magnitude, credits = settle(record)
        total += fee
        model, channel = record["model"], bytes.fromhex(record["channel"][2:])
        low, high = draws.get(record["channel"], (record["from"], record["from"]))
        draws[record["channel"]] = (min(low, record["from"]), max(high, record["from"] + fee))
        bought = [left((3, 1), (record["tokensIn"], 4), (record["tokensOut"], 4), (record["priceVersion"], 4), (record["time"], 8), (record["from"], 8), (ordinal, 2))]
        hashes = [bytes.fromhex(model[2:64]), bytes.fromhex(record["voucher"][2:64]), bytes.fromhex(record["record"][2:64])]
        post(b"\1" + channel[:30], fee, bought + hashes)
        for position, (kind, earner, weight, weights, amount) in enumerate(shares, 1):
            post(cell(2 << 240 | earner), amount, [left((4, 1), (kind, 1), (weight, 4), (weights, 4), (position, 1))])
            fixed[earner] = fixed.get(earner, 0) + amount
        post(model_key(3, model), pool, [left((5, 1), (len(credits), 1), (magnitude, 16), (len(shares) + 1, 1))])
        pools[model] = pools.get(model, 0) + pool
        for place, (earner, score, credit) in enumerate(credits):
            through = sum(abs(score) for _, score, _ in credits[: place + 1])
            post(model_key(4, model, earner), credit, [left((6, 1), (score + BIAS, 8), (place, 1), (through, 16))])
            nets[model, earner] = nets.get((model, earner), 0) + credit
    pay(batch, post, model_key, pools, nets)
    for earner, amount in sorted(fixed.items()):
        post(cell(2 << 240 | earner), -amount, [left((9, 1))], earner, amount)
    size = max(8, 1 << len(rows).bit_length())
    operator, settlement = bytes.fromhex(batch["operator"][2:]), bytes.fromhex(batch["settlement"][2:])
    head = [left((1, 1), (batch["chainId"], 8), (batch["epoch"], 8), (len(batch["records"]), 4), (size, 4))]
    head += [cell(int.from_bytes(operator, "big")), cell(int.from_bytes(settlement, "big")), cell(total)]
    rows.insert(0, [cell(0), cell(0), cell(0), cell(BIAS), *head])
    rows += [[cell(0)] * 3 + [cell(BIAS)] + [cell(0)] * 4] * (size - len(rows))
    payouts = {}
    for cells in rows:
        earner, amount = (int.from_bytes(c, "big") for c in cells[:2])
        if amount:
            payouts[earner] = payouts.get(earner, 0) + amount
    return rows, payouts, total, draws, nets


def pay(batch, post, model_key, pools, nets):
    """Pool closing rows, then payout rows of every contributor touched or with rows of a model called."""
    reputation = {earner: bps for earner, bps in batch["reputation"]}
    weights = {model: dict(of) for model, of in batch["weights"]}
    influence = {of: max(net, 0) * reputation.get(of[1], 10_000) // 10_000 for of, net in nets.items()}
    flat, weighed = {}, {(model, earner) for model in pools for earner, rows in weights[model].items() if rows}
    for model, pool in sorted(pools.items()):
        by_influence = sum(paid for (m, _), paid in influence.items() if m == model)
        entitled = {e: rows for e, rows in weights[model].items() if nets.get((model, e), 0) >= 0}
        weight = sum(entitled.values())
        for earner, rows in entitled.items():
            share = (pool - by_influence) * rows // weight
            if share:
                flat[model, earner] = share
        by_rows = sum(paid for (m, _), paid in flat.items() if m == model)
        left_over = pool - by_influence - by_rows
        post(model_key(3, model), -pool, [left((7, 1), (by_influence, 8), (by_rows, 8), (weight, 8))], 1, left_over)
    through = {}
    for model, earner in sorted(set(nets) | weighed):
        by_influence, by_rows = influence.get((model, earner), 0), flat.get((model, earner), 0)
        bps, rows = reputation.get(earner, 10_000), weights.get(model, {}).get(earner, 0) if model in pools else 0
        net = nets.get((model, earner), 0)
        sums = [a + b for a, b in zip(through.get(model, (0, 0, 0)), (by_influence, by_rows, rows if net >= 0 else 0))]
        through[model] = sums
        info = [left((8, 1), (by_influence, 8), (by_rows, 8), (bps, 2), (rows, 4)), cell(sums[0] << 128 | sums[1] << 64 | sums[2])]
        post(model_key(4, model, earner), -net, info, earner, by_influence + by_rows)


def inputs():
    word = lambda tag, i: "0x" + keccak256(f"{tag} {i}".encode()).hex()
    first, second, idle = sorted(word("model", i) for i in range(3))

    def record(i, channel, start, model, time, tokens, scores, owners, price=(2_000, 6_001, 10), split=(1_000, 2_000, 2_000, 5_000)):
        return {
            "channel": word("channel", channel), "from": start, "voucher": word("voucher", i), "model": model,
            "priceVersion": i + 1, "time": time, "tokensIn": tokens[0], "tokensOut": tokens[1],
            "record": word("record", i),
            "price": price, "split": split, "maxCredits": 3, "owners": owners, "stakers": 4, "scores": scores}

    # Fees: 2468 + 4627 + 10 = 7105; 2 + 7 + 10 = 19; 2000 + 6001 + 10 = 8011; 20 + 1801 + 10 = 1831.
    records = [
        record(0, 0, 100, first, 1_790_000_050, (1_234, 771), [(10, 900), (11, -300), (12, 300), (13, 299), (14, 0)], [(3, 1)]),
        record(1, 0, 7_205, second, 1_790_000_010, (1, 1), [(10, -5), (12, 7)], [(3, 2), (5, 1)]),
        record(2, 1, 0, first, 1_790_000_010, (1_000, 1_000), [(11, -(2**62)), (12, 2**61), (10, 1)], [], split=(3_000, 0, 2_000, 5_000)),
        record(3, 0, 7_224, second, 1_790_000_099, (10, 300), [], [(3, 1)]),
    ]
    return {
        "chainId": 161_201, "settlement": "0x" + "5e" * 20, "operator": "0x" + "0a" * 20, "epoch": 497_222,
        "carries": [(first, 12, -50), (idle, 13, -7)], "records": records,
        "weights": [(first, [(10, 5), (11, 7), (13, 2), (15, 1)]), (second, [(10, 3), (12, 4)])],
        "reputation": [(10, 5_000), (12, 9_999)]}


if __name__ == "__main__":
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    batch = inputs()
    rows, payouts, total, draws, nets = build(batch)
    assert sum(payouts.values()) == total == 7_105 + 19 + 8_011 + 1_831
    identity = keccak256(abi(batch["chainId"], *(bytes(12) + bytes.fromhex(batch[a][2:]) for a in ("settlement", "operator")), batch["epoch"]))
    text = lambda value: {k: text(v) for k, v in value.items()} if isinstance(value, dict) else (
        [text(v) for v in value] if isinstance(value, (list, tuple)) else str(value))
    ledger = {
        "batchId": "0x" + identity.hex(), "total": total, "payouts": sorted(payouts.items()),
        "draws": sorted((channel, *ends) for channel, ends in draws.items()),
        "carries": sorted((model, earner, net) for (model, earner), net in nets.items() if net < 0),
        "rows": [["0x" + c.hex() for c in cells] for cells in rows]}
    vectors = {"inputs": text(batch), "ledger": text(ledger)}
    Path(__file__).with_name("ledger.json").write_text(json.dumps(vectors, indent=1) + "\n")
