"""Writes index.json: influence indexes, their trees of partial sums and what is published of them.

An implementation of its own, from the design's words. Leaves, rows and nodes are shown as the ABI words that are hashed;
a path is its nodes one after the other. Run: python3 make_index_vectors.py
"""
from make_vectors import keccak, layers_of, leaf_of, proof_of, show, word, write

MASK = 2**64 - 1


class Drawn:
    """Numbers that look random (Knuth's MMIX generator)."""

    def __init__(self, state):
        self.state = state

    def below(self, bound):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & MASK
        return (self.state >> 33) % bound


def packed(sums):
    return b"".join(value.to_bytes(4, "big", signed=True) for value in sums)


def encoded(*words):
    return b"".join(word(value) for value in words)


ZERO = bytes(32)


class Node:
    def __init__(self, count, sums, left, right, children=()):
        self.count, self.sums, self.left, self.right, self.children = count, sums, left, right, children

    def words(self):
        return self.count, keccak(packed(self.sums)), self.left, self.right

    def hash(self):
        return keccak(encoded(*self.words()))

    def show(self):
        """The node as ABI words."""
        return show(encoded(*self.words()))


def leaf_node(row):
    datanet, index, row_hash, cluster, sketch = row
    return Node(1, list(sketch), keccak(encoded(datanet, index, row_hash, cluster)), ZERO)


def parent(a, b):
    sums = [x + y for x, y in zip(a.sums, b.sums)]
    return Node(a.count + b.count, sums, a.hash(), b.hash(), (a, b))


def tree_of(rows, dim):
    """Level by level, with an odd last node promoted."""
    if not rows:
        return Node(0, [0] * dim, ZERO, ZERO)
    level = [leaf_node(row) for row in rows]
    while len(level) > 1:
        above = [parent(a, b) for a, b in zip(level[0::2], level[1::2])]
        level = above + level[len(level) & ~1 :]
    return level[0]


def ways(root, turns=0, path=()):
    """Every node with the turns and nodes that lead to it, from left to right."""
    yield root, turns, path
    for right, child in enumerate(root.children):
        yield from ways(child, turns | right << len(path), path + (child,))


def contributor(ordinal, earner, rows, dim):
    root = tree_of(rows, dim)
    found = list(ways(root))
    leaves = [(turns, path) for node, turns, path in found if node.count == 1]
    assert len(leaves) == len(rows)
    shown_rows = []
    for (datanet, index, row_hash, cluster, sketch), (turns, path) in zip(rows, leaves):
        shown_rows.append(
            {
                "row": show(encoded(datanet, index, row_hash, cluster)),
                "sketch": show(b"".join(value.to_bytes(1, "big", signed=True) for value in sketch)),
                "turns": str(turns),
                "path": show(b"".join(encoded(*node.words()) for node in path)),
            }
        )
    nodes = [
        {
            "turns": str(turns),
            "path": show(b"".join(encoded(*node.words()) for node in path)),
            "left": node.children[0].show(),
            "right": node.children[1].show(),
            "sums": [show(packed(sums)) for sums in (node.sums, node.children[0].sums, node.children[1].sums)],
        }
        for node, turns, path in found
        if node.children
    ]
    leaf = leaf_of(ordinal, earner, *root.words())
    entry = {
        "contributor": show(encoded(ordinal, earner, *root.words())),
        "leaf": show(leaf),
        "proof": [],
        "rows": shown_rows,
        "nodes": nodes,
    }
    return leaf, entry


def published(contributors, dim):
    count = sum(len(rows) for _, rows in contributors)
    out = b"OLIXPUB\0" + (1).to_bytes(2, "big")
    for value in (dim, len(contributors), count):
        out += value.to_bytes(4, "big")
    for earner, rows in contributors:
        out += earner.to_bytes(4, "big") + len(rows).to_bytes(4, "big")
    for _, rows in contributors:
        for datanet, index, row_hash, cluster, sketch in rows:
            out += datanet.to_bytes(1, "big") + index.to_bytes(8, "big") + row_hash + cluster
            out += b"".join(value.to_bytes(1, "big", signed=True) for value in sketch)
    return out


def index(name, contributors, dim):
    entries = [contributor(i, earner, rows, dim) for i, (earner, rows) in enumerate(contributors)]
    layers = layers_of([leaf for leaf, _ in entries])
    for i, (_, entry) in enumerate(entries):
        entry["proof"] = [show(node) for node in proof_of(layers, i)]
    return {
        "name": name,
        "dim": str(dim),
        "root": show(layers[-1][0]),
        "published": show(published(contributors, dim)),
        "contributors": [entry for _, entry in entries],
    }


def rows_of(drawn, label, count, dim, extreme=None):
    """Rows of two Datanets, in order, some indexes skipped."""
    rows, datanet, at = [], 0, 0
    for i in range(count):
        if i == (count + 1) // 2:
            datanet, at = 1, 0
        at += drawn.below(3) + (1 if rows else 0)
        row_hash = keccak(f"{label} {i}".encode())
        sketch = [drawn.below(255) - 127 if extreme is None else extreme for _ in range(dim)]
        rows.append((datanet, at, row_hash, row_hash, sketch))
    return rows


def indexes():
    drawn = Drawn(0x4F50454E)
    dim = 16
    counts = [0, 1, 2, 3, 5, 7, 8]
    several = [(3 + 2 * i, rows_of(drawn, f"row of {i}", count, dim)) for i, count in enumerate(counts)]
    extremes = [(4, rows_of(drawn, "high", 5, dim, 127)), (4_294_967_295, rows_of(drawn, "low", 3, dim, -127))]
    far = [(2, [(255, 2**64 - 1, keccak(b"far"), keccak(b"cluster"), [0] * 32)])]
    return {
        "indexes": [
            index("one contributor without rows", [(2, [])], dim),
            index("one row at the ends of its ranges", far, 32),
            index("sketches of only 127 and only -127", extremes, dim),
            index("seven contributors with 0 to 8 rows", several, dim),
        ]
    }


if __name__ == "__main__":
    write("index.json", indexes())
