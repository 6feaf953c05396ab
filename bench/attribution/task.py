"""What a task is made of."""

from abc import ABC, abstractmethod

import torch
from torch import nn

from lora import Recipe


def remembered(store, model: nn.Module, pretrain) -> nn.Module:
    """The base model: pretrained once, then read."""

    def make():
        torch.manual_seed(1)
        for layer in model.modules():
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
        pretrain(model)
        return model.state_dict()

    model.load_state_dict(store.part("base", make))
    return model


class Task(ABC):
    """A base model with LoRA layers, rows that an adapter is trained on, and queries."""

    name: str
    recipe: Recipe
    # Accounts that rows are shared out to.
    accounts: int
    model: nn.Module
    # Inputs and targets; a query's target is what the model is asked how likely it is.
    rows: tuple[torch.Tensor, torch.Tensor]
    queries: tuple[torch.Tensor, torch.Tensor]
    # Half subsets, and trainings of each that are averaged.
    subsets: int
    seeds: int
    # A number for each row: rows of a kind are alike.
    kinds: torch.Tensor
    # Adapters trained at once.
    stack: int = 32
    # Side of the projections in dattri's LoGra, squared.
    logra: int = 4096

    @abstractmethod
    def losses(self, output, y):
        """Negative log-likelihood of each row's targets, summed, and how many targets each has."""

    @abstractmethod
    def represent(self, x, y):
        """A vector for each row, by which rows can be compared."""

    @abstractmethod
    def spoil(self, data, rows, generator):
        """The data with these rows' answers made wrong."""

    @abstractmethod
    def texts(self):
        """Texts of rows and of queries, or None."""

    def owners(self) -> torch.Tensor:
        """Account of each row: sizes differ by up to four times, and an account holds mostly one or two kinds."""
        generator = torch.Generator().manual_seed(11)
        n = len(self.rows[0])
        noise = torch.rand(n, generator=generator) * 1.5
        by_kind = torch.argsort(self.kinds + noise)
        sizes = 0.5 + 1.5 * torch.rand(self.accounts, generator=generator)
        edges = (torch.cumsum(sizes, 0) / sizes.sum() * n).round().long()
        owners = torch.empty(n, dtype=torch.long)
        owners[by_kind] = torch.searchsorted(edges, torch.arange(n), right=True)
        return owners
