"""Trainings that methods are held against: on half subsets, without an account, without the rows that a method names."""

import hashlib
import sys

import torch

from lora import Bar, fresh, log_likelihoods, train


def halves(task):
    """Members of each half subset, `(subsets, rows / 2)`."""
    generator = torch.Generator().manual_seed(5)
    rows = len(task.rows[0])
    picked = [torch.randperm(rows, generator=generator)[: rows // 2] for _ in range(task.subsets)]
    return torch.stack([members.sort().values for members in picked])


def subset_outputs(task, store) -> dict:
    """Log-likelihood of each query under the model trained on each half subset: `outputs (seeds, subsets, queries)`.

    Seeds differ in the adapter's first weights and in the order of rows."""
    members, rows = halves(task), len(task.rows[0])
    bar, done, outputs = Bar(f"{task.name}: half subsets", task.seeds * task.subsets), 0, []
    for seed in range(task.seeds):
        parts = []
        for at in range(0, task.subsets, task.stack):
            chunk = members[at : at + task.stack]

            def make():
                orders = [task.recipe.order(m, 1000 * seed + at + i) for i, m in enumerate(chunk)]
                inits = [fresh(task.model, seed)] * len(chunk)
                trained = train(task, task.rows, torch.stack(orders), torch.ones(len(chunk), rows), inits)[-1]
                return {"outputs": log_likelihoods(task, trained, task.queries)}

            parts.append(store.part(f"subsets-{seed}-{at}", make)["outputs"])
            done += len(chunk)
            bar.at(done, sys.stderr)
        outputs.append(torch.cat(parts))
    return {"members": members.int(), "outputs": torch.stack(outputs)}


def without(task, store, name: str, data, dropped: list[torch.Tensor], seeds: int) -> torch.Tensor:
    """Log-likelihood of each query after training without each set of rows, mean over seeds, `(sets, queries)`.

    Every set is trained in the same order of rows from the same weights, dropped rows weighing nothing, so that what differs
    is the rows and not chance. A set's outputs are kept by its rows: what is asked again is not trained again."""
    sets = {part_of(name, gone): gone for gone in dropped}
    missing = [part for part in sets if not store.has(part)]
    bar = Bar(f"{task.name}: {name}", len(sets))
    for at in range(0, len(missing), task.stack):
        chunk = missing[at : at + task.stack]
        outputs = sum(trained_without(task, data, [sets[part] for part in chunk], seed) for seed in range(seeds)) / seeds
        for part, of_set in zip(chunk, outputs):
            store.part(part, lambda: {"outputs": of_set})
        bar.at(len(sets) - len(missing) + at + len(chunk), sys.stderr)
    return torch.stack([store.part(part_of(name, gone), None)["outputs"] for gone in dropped])


def part_of(name: str, rows: torch.Tensor) -> str:
    return f"without-{name}-{hashlib.sha256(str(sorted(rows.tolist())).encode()).hexdigest()[:12]}"


def trained_without(task, data, sets: list[torch.Tensor], seed: int) -> torch.Tensor:
    rows = len(data[0])
    weights = torch.ones(len(sets), rows)
    for i, gone in enumerate(sets):
        weights[i, gone] = 0
    order = task.recipe.order(torch.arange(rows), seed)
    orders = order.expand(len(sets), *order.shape)
    trained = train(task, data, orders, weights, [fresh(task.model, seed)] * len(sets))[-1]
    return log_likelihoods(task, trained, task.queries)


def unseen_losses(task, store, data, trainings: int = 8) -> dict:
    """Loss per target of each row under the models that were trained without it, `unseen (rows,)`: what can be known of a
    row's fit to the others by retraining."""
    members, rows = halves(task)[:trainings], len(data[0])
    bar, parts = Bar(f"{task.name}: unseen rows", len(members)), []
    for at in range(0, len(members), task.stack):
        chunk = members[at : at + task.stack]

        def make():
            orders = [task.recipe.order(m, at + i) for i, m in enumerate(chunk)]
            trained = train(task, data, torch.stack(orders), torch.ones(len(chunk), rows), [fresh(task.model, 0)] * len(chunk))[-1]
            return {"outputs": log_likelihoods(task, trained, data)}

        parts.append(store.part(f"unseen-{at}", make)["outputs"])
        bar.at(at + len(chunk), sys.stderr)
    outputs = torch.cat(parts)
    unseen = torch.ones_like(outputs).scatter_(1, members, 0)
    counted = task.losses(torch.zeros(rows, *task.model(data[0][:1]).shape[1:]), data[1])[1]
    return {"unseen": -(outputs * unseen).sum(0) / unseen.sum(0).clamp(min=1) / counted}
