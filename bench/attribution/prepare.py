"""Trains, retrains and writes what the methods are computed and judged from.

    prepare.py texts TASK CACHE [--quick]    writes task.json only
    prepare.py setup TASK CACHE [--quick]    trains and retrains; each prints the task's folder
    prepare.py drop TASK CACHE [--quick]     retrains without the rows that drops.json names"""

import json
import os
import sys
from pathlib import Path

import torch

import retrain
from digits import Digits
from lora import fresh, install, log_likelihoods, one, row_gradients, train
from solidity import Solidity
from store import Store
from text import Text

TASKS = {"digits": Digits, "text": Text, "solidity": Solidity}
COPIES = 10


def full(task, data, seed: int = 0, keep=()):
    """Adapters trained on all the data: at the steps of `keep` and at the end."""
    rows = len(data[0])
    order = task.recipe.order(torch.arange(rows), seed)[None]
    stacked = train(task, data, order, torch.ones(1, rows), [fresh(task.model, seed)], keep)
    return [one(adapter, 0) for adapter in stacked]


def main_part(task) -> dict:
    """Gradients at the end and at two earlier checkpoints, hidden states, accounts."""
    steps = len(task.recipe.order(torch.arange(len(task.rows[0])), 0))
    keep = [steps // 3, 2 * steps // 3]
    adapters = full(task, task.rows, keep=keep)
    tensors = {"rates": torch.tensor([task.recipe.rate * (1 - (step - 1) / steps) for step in [*keep, steps]])}
    for number, adapter in enumerate(adapters):
        tensors[f"rows.{number}"] = row_gradients(task, adapter, task.rows)
        tensors[f"queries.{number}"] = row_gradients(task, adapter, task.queries)
    install(task.model, adapters[-1])
    with torch.no_grad():
        tensors["hidden.rows"] = task.represent(*task.rows)
        tensors["hidden.queries"] = task.represent(*task.queries)
    tensors |= {f"adapter.{name}": w for name, w in adapters[-1].items()}
    tensors["owners"] = task.owners().int()
    tensors["log_likelihoods"] = log_likelihoods(task, {n: w[None] for n, w in adapters[-1].items()}, task.queries)[0]
    return tensors


def gradients_on(task, data) -> dict:
    adapter = full(task, data)[-1]
    return {"rows": row_gradients(task, adapter, data), "queries": row_gradients(task, adapter, task.queries)}


def spoilt(task):
    """(data, flags) with 10% of the rows spoilt, anybody's."""
    generator = torch.Generator().manual_seed(23)
    rows = len(task.rows[0])
    bad = torch.randperm(rows, generator=generator)[: rows // 10]
    flags = torch.zeros(rows, dtype=torch.int32)
    flags[bad] = 1
    return task.spoil(task.rows, bad, generator), flags


def spread(task) -> dict:
    """A model trained on rows of which 10% are spoilt."""
    data, flags = spoilt(task)
    return gradients_on(task, data) | {"flags": flags, "owners": task.owners().int()}


def bad_account(task):
    """The account nearest to a twentieth of the rows, all of whose rows are spoilt."""
    sizes = task.owners().bincount(minlength=task.accounts)
    return (sizes - len(task.rows[0]) // 20).abs().argmin().item()


def spoilt_account(task, store, seeds: int) -> dict:
    """One account of spoilt rows only, and trainings without each account."""
    owners, bad = task.owners(), bad_account(task)
    mine = (owners == bad).nonzero()[:, 0]
    data = task.spoil(task.rows, mine, torch.Generator().manual_seed(29))
    gone = [torch.tensor([], dtype=torch.long)] + [(owners == a).nonzero()[:, 0] for a in range(task.accounts)]
    outputs = retrain.without(task, store, "accounts", data, gone, seeds)
    flags = (owners == bad).int()
    left_out = {"before": outputs[0], "without": outputs[1:].contiguous()}
    return gradients_on(task, data) | left_out | {"flags": flags, "owners": owners.int()}


def copies(task) -> dict:
    """An account hands in each of its rows ten times."""
    owners = task.owners()
    copier = bad_account(task)
    mine = (owners == copier).nonzero()[:, 0].repeat(COPIES - 1)
    places = torch.cat([torch.arange(len(owners)), mine])
    data = tuple(part[places] for part in task.rows)
    # Copies belong to the cluster of the first.
    return gradients_on(task, data) | {"owners": owners[places].int(), "clusters": places.int(), "copier": torch.tensor([copier], dtype=torch.int32)}


def describe(task, store, quick: bool) -> None:
    """`task.json`: shapes, texts, settings."""
    sites = [list(p.shape) for n, p in task.model.named_parameters() if p.requires_grad]
    shapes = [{"rank": a[0], "d_in": a[1], "d_out": b[0]} for a, b in zip(sites[::2], sites[1::2], strict=True)]
    texts = task.texts()
    about = {"task": task.name, "quick": quick, "sites": shapes, "rows": len(task.rows[0]), "queries": len(task.queries[0])}
    about |= {"accounts": task.accounts, "recipe": vars(task.recipe), "subsets": task.subsets, "seeds": task.seeds}
    about |= {"texts": {"rows": texts[0], "queries": texts[1]}} if texts else {}
    (store.folder / "task.json").write_text(json.dumps(about))


def setup(task, store, quick: bool) -> None:
    describe(task, store, quick)
    made = store.part("main", lambda: main_part(task))
    install(task.model, {n.removeprefix("adapter."): w for n, w in made.items() if n.startswith("adapter.")})
    store.part("subsets", lambda: retrain.subset_outputs(task, store))
    import peers

    store.part("peers", lambda: peers.scores(task, store, made["rows.2"], quick), peers.are_complete)
    store.part("spread", lambda: spread(task))
    store.part("unseen", lambda: retrain.unseen_losses(task, store, spoilt(task)[0]))
    if task.name == "digits" or not quick:
        seeds = {"digits": 4, "text": 2, "solidity": 1}[task.name]
        store.part("account", lambda: spoilt_account(task, store, seeds))
        store.part("copies", lambda: copies(task))


def drop(task, store) -> None:
    """Retrains without the rows that each method names for each query: `after.METHOD (queries,)`, and `before`."""
    plan = json.loads((store.folder / "drops.json").read_text())
    queries, named = plan["queries"], plan["methods"]
    sets = [torch.tensor([], dtype=torch.long)] + [torch.tensor(rows) for sets in named.values() for rows in sets]
    digest = plan["digest"]

    def make():
        outputs = retrain.without(task, store, "top", task.rows, sets, 2 if task.name == "digits" else 1)
        tensors = {"before": outputs[0, queries]}
        for number, method in enumerate(named):
            first = 1 + number * len(queries)
            tensors[f"after.{method}"] = torch.stack([outputs[first + i, q] for i, q in enumerate(queries)])
        return tensors

    store.part(f"drops-{digest}", make)


def main() -> None:
    stage, name, cache = sys.argv[1:4]
    quick = "--quick" in sys.argv
    torch.set_num_threads(int(os.environ.get("BENCH_THREADS", "2")))
    store = Store(Path(cache), name, quick)
    task = TASKS[name](quick, store)
    if stage == "texts":
        describe(task, store, quick)
    elif stage == "setup":
        setup(task, store, quick)
    else:
        drop(task, store)
    print(store.folder)


main()
