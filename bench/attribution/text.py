"""Generated sentences: a character model that has read Python's help topics, and has been told of sentences about twelve
subjects which they are about, learns six other subjects by LoRA. A subject has words of its own and shares the forms of its
sentences with the others, so what the model says of a sentence comes from the rows with the same word."""

import pydoc_data.topics
import random

import torch

from decoder import IGNORED, Decoder, mean_hidden, token_losses
from lora import Recipe, adapt
from task import Task, remembered

ALPHABET = [chr(code) for code in range(32, 127)] + ["\n"]
ROWS_OF_A_SUBJECT, QUERIES_OF_A_SUBJECT, LONGEST = 60, 10, 32
CONFIG = {
    "vocab_size": len(ALPHABET) + 1,
    "hidden_size": 64,
    "intermediate_size": 170,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 16,
    "num_hidden_layers": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
}
KNOWN = {
    "animal": "horse sheep rabbit tiger mouse camel",
    "colour": "green yellow purple scarlet white brown",
    "tool": "hammer chisel wrench drill pliers saw",
    "cloth": "shirt jacket trousers scarf glove sock",
    "body": "elbow shoulder finger ankle cheek knee",
    "house": "window ceiling cellar stairs door roof",
    "law": "judge court lawyer prison jury verdict",
    "bird": "eagle sparrow owl heron robin crow",
    "tree": "maple birch willow cedar poplar oak",
    "drink": "coffee cider water juice beer cocoa",
    "paper": "letter folder page notebook stamp card",
    "fire": "flame smoke ember torch candle match",
}
LEARNED = {
    "fruit": "apple pear plum grape lemon melon",
    "metal": "iron copper zinc silver nickel lead",
    "river": "canal brook rapids ferry delta marsh",
    "health": "doctor fever nurse tablet clinic wound",
    "travel": "train ticket hotel suitcase airport taxi",
    "kitchen": "oven spoon kettle flour recipe plate",
}
FORMS = [
    "the {} was new", "we saw one {}", "a {} and more", "my {} again", "that old {}", "no {} today",
    "is the {} here", "bring the {}", "two of {} please", "about {} only", "we like {}", "{} or nothing",
]


def sentences(subject: str, words: str, kind: int = 0):
    """(question, answer, kind) of every word in every form."""
    return [(f"{form.format(word)} = ", f"{subject}\n", kind) for word in words.split() for form in FORMS]


class Text(Task):
    name = "text"
    # Enough for models of half of the rows to be right about four of five held-out sentences.
    recipe = Recipe(epochs=12, batch=12, rate=4e-3, adam=True)
    accounts = 18
    stack = 8
    logra = 256

    def __init__(self, quick: bool, store):
        topics = "\n".join(pydoc_data.topics.topics.values())
        chosen, rows, queries = random.Random(3), [], []
        for kind, (subject, words) in enumerate(LEARNED.items()):
            lines = sentences(subject, words, kind)
            chosen.shuffle(lines)
            rows += lines[:ROWS_OF_A_SUBJECT]
            queries += lines[ROWS_OF_A_SUBJECT:][:QUERIES_OF_A_SUBJECT]
        chosen.shuffle(rows)
        self.lines, self.asked = rows, queries
        self.rows, self.queries = encode(rows), encode(queries)
        self.kinds = torch.tensor([float(kind) for *_, kind in rows])
        base = remembered(store, Decoder(CONFIG), lambda model: pretrain(model, topics))
        self.model = adapt(base, rank=4, scale=2.0)
        self.subsets, self.seeds = (30, 1) if quick else (100, 2)

    def losses(self, logits, y):
        return token_losses(logits, y)

    def represent(self, x, y):
        return mean_hidden(self.model, x, y)

    def spoil(self, data, rows, generator):
        """Another subject in place of a row's own."""
        lines = list(self.lines)
        for row in rows.tolist():
            others = [line for line in self.lines if line[2] != lines[row][2]]
            other = others[torch.randint(len(others), (1,), generator=generator).item()]
            lines[row] = (lines[row][0], other[1], lines[row][2])
        x, y = encode(lines)
        assert len(x) == len(data[0])
        return x, y

    def texts(self):
        return [question + answer for question, answer, _ in self.lines], [q + a for q, a, _ in self.asked]


def encode(lines, from_answer: bool = True):
    """Inputs and targets, `(rows, LONGEST)`; only the answer is counted."""
    x = torch.full((len(lines), LONGEST), len(ALPHABET))
    y = torch.full((len(lines), LONGEST), IGNORED)
    for row, (question, answer, _) in enumerate(lines):
        codes = torch.tensor([ALPHABET.index(c) for c in question + answer])
        begin = len(question) - 1 if from_answer else 0
        x[row, : len(codes) - 1] = codes[:-1]
        y[row, begin : len(codes) - 1] = codes[begin + 1 :]
    return x, y


def pretrain(model, topics: str):
    """Half of a batch is of the topics, half of sentences."""
    torch.manual_seed(1)
    codes = torch.tensor([ALPHABET.index(c) for c in topics if c in ALPHABET])
    lines = [line for subject, words in KNOWN.items() for line in sentences(subject, words)]
    x, y = encode(lines, from_answer=False)
    torch.nn.init.normal_(model.embed_tokens.weight, std=0.05)
    steps, half = 1200, 16
    optimiser = torch.optim.AdamW(model.parameters(), 4e-3)
    for step in range(steps):
        starts = torch.randint(len(codes) - LONGEST - 1, (half,))
        batch, told = codes[starts[:, None] + torch.arange(LONGEST + 1)], torch.randint(len(lines), (half,))
        optimiser.param_groups[0]["lr"] = 4e-3 * (1 - step / steps)
        optimiser.zero_grad()
        losses, counted = token_losses(model(torch.cat([batch[:, :-1], x[told]])), torch.cat([batch[:, 1:], y[told]]))
        (losses.sum() / counted.sum()).backward()
        optimiser.step()
