"""Handwritten digits: a perceptron that knows 0 to 4 learns all ten by LoRA. The images come in scikit-learn's wheel."""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from lora import Recipe, adapt
from task import Task, remembered

PRETRAINING, ROWS, QUERIES = 450, 800, 200


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(64, 128), nn.Linear(128, 128), nn.Linear(128, 10)

    def represent(self, x):
        return torch.relu(self.second(torch.relu(self.first(x))))

    def forward(self, x):
        return self.last(self.represent(x))


class Digits(Task):
    name = "digits"
    recipe = Recipe(epochs=40, batch=40, rate=3e-3, adam=True)
    accounts = 20

    def __init__(self, quick: bool, store):
        images, labels = load_digits(return_X_y=True)
        images, labels = torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(labels)
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(7))
        small = order[labels[order] < 5][:PRETRAINING]
        rest = order[~torch.isin(order, small)]
        rows, queries = rest[:ROWS], rest[ROWS : ROWS + QUERIES]
        self.rows, self.queries = (images[rows], labels[rows]), (images[queries], labels[queries])
        base = remembered(store, Perceptron(), lambda model: pretrain(model, images[small], labels[small]))
        self.model = adapt(base, rank=4, scale=2.0)
        self.subsets, self.seeds = (30, 2) if quick else (200, 2)
        self.logra = 256 if quick else 1024
        # Kinds of rows, by which accounts differ.
        self.kinds = self.rows[1]

    def losses(self, logits, y):
        return F.cross_entropy(logits, y, reduction="none"), torch.ones_like(y, dtype=torch.float32)

    def represent(self, x, y):
        return self.model.represent(x)

    def spoil(self, data, rows, generator):
        """Labels that are wrong."""
        x, y = data[0], data[1].clone()
        y[rows] = (y[rows] + torch.randint(1, 10, (len(rows),), generator=generator)) % 10
        return x, y

    def texts(self):
        return None


def pretrain(model, images, labels):
    torch.manual_seed(1)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(300):
        batch = torch.randint(len(labels), (64,))
        optimiser.zero_grad()
        F.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimiser.step()
