"""LoRA on linear layers, and training of many adapters of one base at once.

Adapters are stacked along a first axis and trained together under `vmap`: the base's weights are shared, so a stack costs
little more than its sums. Every adapter sees its own rows in its own order, with its own weights of rows."""

import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.func import functional_call, grad, vmap


class Lora(nn.Module):
    """`y = base(x) + scale B A x` with `A: (r, d_in)`, `B: (d_out, r)`; the base does not train."""

    def __init__(self, base: nn.Linear, rank: int, scale: float):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = scale
        self.lora_A = nn.Linear(base.in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, base.out_features, bias=False)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x):
        return self.base(x) + self.scale * self.lora_B(self.lora_A(x))


def adapt(model: nn.Module, rank: int, scale: float) -> nn.Module:
    """Freezes the model and gives each of its linear layers a LoRA adapter."""
    model.requires_grad_(False)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and not isinstance(parent, Lora):
                setattr(parent, name, Lora(child, rank, scale))
    return model.eval()


def fresh(model: nn.Module, seed: int) -> dict:
    """An untrained adapter: `A` uniform in `+-1/sqrt(d_in)`, `B` zero, as in PEFT."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, parameter in trained(model).items():
        if "lora_A" in name:
            bound = parameter.shape[1] ** -0.5
            weights[name] = (2 * torch.rand(parameter.shape, generator=generator) - 1) * bound
        else:
            weights[name] = torch.zeros(parameter.shape)
    return weights


def trained(model: nn.Module) -> dict:
    """The adapter's weights by name, `A` before `B`, site by site."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def install(model: nn.Module, adapter: dict) -> None:
    """Puts an adapter into the model itself."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data.copy_(adapter[name])


def one(stacked: dict, at: int) -> dict:
    """One adapter of a stack."""
    return {name: w[at] for name, w in stacked.items()}


@dataclass
class Recipe:
    """How an adapter is trained: epochs over its rows in batches, the rate falling to zero in a straight line."""

    epochs: int
    batch: int
    rate: float
    adam: bool

    def order(self, rows: torch.Tensor, seed: int) -> torch.Tensor:
        """Rows of every step, `(steps, batch)`; what does not fill a batch waits for the next epoch's shuffle."""
        generator = torch.Generator().manual_seed(seed)
        size = min(self.batch, len(rows))
        epochs = [rows[torch.randperm(len(rows), generator=generator)] for _ in range(self.epochs)]
        return torch.cat([epoch[: len(rows) // size * size].reshape(-1, size) for epoch in epochs])


class Optimiser:
    """SGD with momentum 0.9, or Adam, on stacked weights."""

    def __init__(self, recipe: Recipe, weights: dict):
        self.adam, self.steps = recipe.adam, 0
        self.first = {name: torch.zeros_like(w) for name, w in weights.items()}
        self.second = {name: torch.zeros_like(w) for name, w in weights.items()}

    def step(self, weights: dict, gradients: dict, rate: float) -> None:
        self.steps += 1
        for name, w in weights.items():
            g, first, second = gradients[name], self.first[name], self.second[name]
            if not self.adam:
                first.mul_(0.9).add_(g)
                w.sub_(first, alpha=rate)
                continue
            first.mul_(0.9).add_(g, alpha=0.1)
            second.mul_(0.999).addcmul_(g, g, value=0.001)
            root = (second / (1 - 0.999**self.steps)).sqrt_().add_(1e-8)
            w.addcdiv_(first / (1 - 0.9**self.steps), root, value=-rate)


def train(task, data, orders, weights, inits, keep=()) -> list[dict]:
    """Trains a stack of adapters.

    - `data`: (inputs, targets) of all rows
    - `orders`: `(stack, steps, batch)` row numbers; `weights`: `(stack, rows)` weight of each row in the loss
    - `inits`: an adapter for each of the stack
    - `keep`: steps whose weights are returned, beside the last; returns a list of stacked adapters
    """
    x, y = data
    stacked = {name: torch.stack([init[name] for init in inits]) for name in inits[0]}
    optimiser = Optimiser(task.recipe, stacked)

    def loss(adapter, x, y, w):
        nll, counted = task.losses(functional_call(task.model, adapter, (x,)), y)
        return (w * nll).sum() / (w * counted).sum().clamp(min=1e-9)

    gradient = vmap(grad(loss))
    kept, steps = [], orders.shape[1]
    for step in range(steps):
        rows = orders[:, step]
        gradients = gradient(stacked, x[rows], y[rows], torch.gather(weights, 1, rows))
        optimiser.step(stacked, gradients, task.recipe.rate * (1 - step / steps))
        if step + 1 in keep or step + 1 == steps:
            kept.append({name: w.clone() for name, w in stacked.items()})
    return kept


def log_likelihoods(task, stacked: dict, data, chunk: int = 64) -> torch.Tensor:
    """Log-likelihood of each row's targets under each adapter, `(stack, rows)`."""
    x, y = data

    def one(adapter, x, y):
        return -task.losses(functional_call(task.model, adapter, (x,)), y)[0]

    with torch.no_grad():
        parts = [vmap(one, (0, None, None))(stacked, x[at : at + chunk], y[at : at + chunk]) for at in range(0, len(x), chunk)]
    return torch.cat(parts, 1)


def row_gradients(task, adapter: dict, data, chunk: int = 64) -> torch.Tensor:
    """Gradient of each row's log-likelihood, `(rows, p)`, in the order of the adapter's weights."""
    x, y = data

    def one(adapter, x, y):
        return -task.losses(functional_call(task.model, adapter, (x[None],)), y[None])[0].sum()

    parts = []
    for at in range(0, len(x), chunk):
        gradients = vmap(grad(one), (None, 0, 0))(adapter, x[at : at + chunk], y[at : at + chunk])
        parts.append(torch.cat([g.flatten(1) for g in gradients.values()], 1))
    return torch.cat(parts)


class Bar:
    """Progress on one line of the terminal's error stream; one line at the end where that is not a terminal."""

    def __init__(self, what: str, total: int):
        self.what, self.total, self.begin = what, total, time.time()

    def at(self, done: int, stream) -> None:
        seconds = time.time() - self.begin
        text = f"{self.what:<44} {done}/{self.total}  {seconds:.0f} s"
        if stream.isatty():
            print(f"\r{text}", end="\n" if done == self.total else "", file=stream, flush=True)
        elif done == self.total:
            print(text, file=stream, flush=True)
