"""Writes figures.json: influence shares, reputations and factors by the rules as they are written down, in fractions.

    python3 test/vectors/make_figure_vectors.py > test/vectors/figures.json
"""

import json
import random
from fractions import Fraction
from math import floor


def influence(lds, ceiling):
    """The square of lds / sqrt(ceiling), at most the whole; a ceiling below a quarter is read as a quarter."""
    lds, ceiling = min(Fraction(lds, 10_000), 1), min(Fraction(ceiling, 10_000), 1)
    return floor(10_000 * min(lds * lds / max(ceiling, Fraction(1, 4)), 1))


def reputation(accepted, refused, earning, harmful, penalties):
    """Shares with 20 files and 4 batches before the first, each floored; halved per penalty; at least a quarter."""
    intake = floor(10_000 * Fraction(accepted + 20, accepted + refused + 20))
    both = floor(intake * Fraction(earning + 4, earning + harmful + 4))
    return max(floor(both / Fraction(2) ** min(penalties, 64)), 2_500)


def credit_share(bps, spans, citations):
    """Influence pays as far as it was measured to be true, spans and citations the whole; by the parts of the mix."""
    of_uses = Fraction(spans + citations, 10_000)
    return floor(10_000 * (Fraction(bps, 10_000) * (1 - of_uses) + of_uses))


def factor(share, bps):
    return floor(10_000 * Fraction(share, 10_000) * Fraction(bps, 10_000))


def main():
    rng = random.Random(1)
    edges = [0, 1, 99, 100, 2_499, 2_500, 2_501, 4_999, 5_000, 9_999, 10_000, 10_001, 65_535]
    reports = [(lds, ceiling) for lds in edges for ceiling in edges]
    reports += [(rng.randrange(10_001), rng.randrange(10_001)) for _ in range(60)]
    counts = [0, 1, 3, 19, 20, 1_000, 2**32 - 1]
    conducts = [(0, 0, 0, 0, p) for p in (0, 1, 2, 3, 13, 14, 64, 255, 256, 2**32 - 1)]
    conducts += [tuple(rng.choice(counts) for _ in range(4)) + (rng.randrange(3),) for _ in range(120)]
    parts = [0, 1, 2_500, 3_333, 5_000, 6_667, 9_999, 10_000]
    mixes = [(spans, citations) for spans in parts for citations in parts if spans + citations <= 10_000]
    shares = [0, 1, 2_500, 3_333, 9_999, 10_000]
    counts = ["accepted", "refused", "earning", "harmful", "penalties"]
    tables = {
        "reports": (["lds", "ceiling", "influence"], [(*r, influence(*r)) for r in reports]),
        "conducts": ([*counts, "reputation"], [(*c, reputation(*c)) for c in conducts]),
        "shares": (
            ["influence", "spans", "citations", "share"],
            [(i, *mix, credit_share(i, *mix)) for i in shares for mix in mixes],
        ),
        "factors": (
            ["share", "reputation", "factor"],
            [(i, r, factor(i, r)) for i in shares for r in shares],
        ),
    }
    columns = {name: dict(zip(head, map(list, zip(*rows)))) for name, (head, rows) in tables.items()}
    print(json.dumps(columns, separators=(",", ":")))


main()
