"""dattri on the same model, rows and queries: its DataInf, EK-FAC, TRAK and LoGra, each with its own setting and with others.

Scores are `(queries, rows)`, larger for rows that made the query's targets more likely. Names are `method|setting`; `default`
is what the package does when not told."""

import contextlib
import inspect
import io
import os
import sys
import tempfile
import warnings
from types import SimpleNamespace

# LoGra's compressor is compiled on first use, which takes longer than it saves here.
os.environ["TORCHDYNAMO_DISABLE"] = "1"

import torch
from dattri.algorithm import IFAttributorDataInf, IFAttributorEKFAC, LoGraAttributor, TRAKAttributor
from dattri.func import fisher
from dattri.task import AttributionTask
from torch import nn
from torch.func import functional_call
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lora import Bar, trained


class Named(Dataset):
    """Rows as dictionaries, for models that give their own loss."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, at):
        return {"x": self.x[at], "y": self.y[at]}


class WithLoss(nn.Module):
    def __init__(self, task):
        super().__init__()
        self.model, self.losses = task.model, task.losses

    def forward(self, x, y):
        return SimpleNamespace(loss=self.losses(self.model(x), y)[0].mean())


def influence_task(task):
    def loss(parameters, data):
        x, y = data
        return task.losses(functional_call(task.model, parameters, (x,)), y)[0].mean()

    return AttributionTask(loss_func=loss, model=task.model, checkpoints=task.model.state_dict())


# Rows whose gradients are computed at once: what they take is freed before the next.
CHUNK = 32
# Numbers that a method may keep at once: 256 MiB.
MAX_NUMBERS = 1 << 26


def loader(data, rows=CHUNK):
    return DataLoader(TensorDataset(*data), batch_size=rows, shuffle=False)


def whole(data):
    return loader(data, len(data[0]))


def chunks(data):
    return zip(*(part.split(CHUNK) for part in data))


def check_gradients(theirs, ours):
    """Same weights and rows mean same gradients; theirs are of the loss."""
    error = (theirs + ours).abs().max() / ours.abs().max()
    assert error < 1e-3, f"dattri's gradients differ from ours by {error}"


def inner_products(task, attributor, setting: str, values: dict, ours) -> dict:
    """Scores of an attributor that transforms the queries' gradients, for each value of its setting."""
    attributor.cache(loader(task.rows))

    def represent(make, data):
        return torch.cat([make(0, tuple(t[None] for t in chunk)).detach() for chunk in chunks(data)])

    rows = represent(attributor.generate_train_rep, task.rows)
    queries = represent(attributor.generate_test_rep, task.queries)
    check_gradients(rows, ours)
    # DataInf keeps a number for each weight and each pair of so many queries and as many rows.
    at_once = max(1, int((MAX_NUMBERS / queries.shape[1]) ** 0.5))
    scores = {}
    for name, value in values.items():
        setattr(attributor, setting, value)
        parts = [attributor.transform_test_rep(0, part) for part in queries.split(at_once)]
        scores[name] = torch.cat(parts).detach() @ rows.T
    return scores


def datainf(task, ours, grid):
    mean = ours.square().mean().item()
    # Its own setting is 0, by which it divides; 0.1 is what its text names.
    values = {"default": 0.1} | {f"{c:g} mean g^2": c * mean for c in grid}
    attributor = IFAttributorDataInf(influence_task(task))
    # What it keeps of the rows would hold on to every chunk's graph.
    of_rows = attributor.generate_train_rep
    attributor.generate_train_rep = lambda *arguments, **named: of_rows(*arguments, **named).detach()
    return inner_products(task, attributor, "regularization", values, ours)


def allow_sequences():
    """dattri 0.3.0 forgets to name a layer's input when it has positions: without this EK-FAC is for plain vectors only."""
    for name in ("_update_covariance", "_update_lambda"):
        source = inspect.getsource(getattr(fisher, name))
        branch = "        if a_prev_raw.ndim == 2:"
        assert branch in source
        exec("from __future__ import annotations\n" + source.replace(branch, "        a_prev = a_prev_raw\n" + branch), vars(fisher))


def ekfac(task, ours, grid):
    allow_sequences()
    modules = [name.removesuffix(".weight") for name in trained(task.model)]
    attributor = IFAttributorEKFAC(influence_task(task), module_name=modules)
    mean = ours.square().mean().item()
    values = {"default": 0.0} | {f"{c:g} mean g^2": c * mean for c in grid}
    return inner_products(task, attributor, "damping", values, ours)


def trak(task, grid, dims):
    def answer(parameters, data):
        x, y = data
        return -task.losses(functional_call(task.model, parameters, (x[None],)), y[None])[0].sum()

    def margin(parameters, data):
        likely = answer(parameters, data).clamp(max=-1e-6)
        return likely - torch.log(-torch.expm1(likely))

    dattri_task = AttributionTask(loss_func=margin, model=task.model, checkpoints=task.model.state_dict())
    scores = {}
    for dim in dims:
        settings = {"proj_dim": dim}
        attributor = TRAKAttributor(dattri_task, lambda p, d: answer(p, d).exp(), projector_kwargs=settings)
        gradients = attributor.grad_loss_func
        parameters, _ = dattri_task.get_param()
        of_all = lambda data: torch.cat([gradients(parameters, chunk).detach() for chunk in chunks(data)])
        known = {len(data[0]): of_all(data) for data in (task.rows, task.queries)}
        attributor.grad_loss_func = attributor.grad_target_func = lambda _, data: known[len(data[0])].clone()
        projected = known[len(task.rows[0])] / attributor.norm_scaler
        mean = projected.square().sum(1).mean().item() * len(projected) / dim
        values = {f"{c:g} mean, d = {dim}": c * mean for c in grid}
        for name, value in (({"default": 0.0} if dim == 512 else {}) | values).items():
            attributor.regularization = value
            with contextlib.suppress(torch.linalg.LinAlgError):
                attributor.cache(whole(task.rows))
                scores[name] = attributor.attribute(whole(task.queries)).T.detach()
    return scores


def logra(task, grid):
    model = WithLoss(task)
    names = [name for name, module in model.named_modules() if name.endswith(("lora_A", "lora_B"))]

    def loss(model, batch, device):
        return model(**batch).loss

    dattri_task = AttributionTask(loss_func=loss, model=model, checkpoints=model.state_dict())
    # It writes a note of its batches to a folder, and reads what another run left there.
    notes = tempfile.TemporaryDirectory()
    attributor = LoGraAttributor(dattri_task, layer_names=names, proj_dim=task.logra, cache_dir=notes.name)
    rows, queries = (DataLoader(Named(*data), batch_size=CHUNK) for data in (task.rows, task.queries))
    attributor.cache(rows)
    scores = {"default": attributor.attribute(rows, queries).T.detach().clone()}
    for c in grid:
        attributor.compute_preconditioners(damping=c)
        attributor.compute_ifvp()
        scores[f"{c:g} tr(F)/d"] = attributor.attribute(rows, queries).T.detach().clone()
    return scores


METHODS = ["DataInf", "EK-FAC", "TRAK", "LoGra"]


def are_complete(scores: dict) -> bool:
    return {name.split("|")[0] for name in scores} >= set(METHODS)


def scores(task, store, ours, quick: bool) -> dict:
    """Scores of all peers, each kept as soon as it is done. `ours` are the rows' gradients of the log-likelihood, `(rows, p)`."""
    warnings.filterwarnings("ignore")
    grid = [1e-1, 1, 1e1, 1e2, 1e3] if quick else [1e-2, 1e-1, 1, 1e1, 1e2, 1e3, 1e4]
    dims = [512, 2048]
    made = [
        lambda: datainf(task, ours, grid),
        lambda: ekfac(task, ours, grid),
        lambda: trak(task, [1e-2, 1e-1, 1, 1e1, 1e2], dims),
        lambda: logra(task, grid),
    ]
    found, bar = {}, Bar(f"{task.name}: dattri", len(made))
    for done, (method, make) in enumerate(zip(METHODS, made)):
        with contextlib.redirect_stderr(io.StringIO()) as said:
            try:
                of_method = store.part(f"peers-{method}", make)
            except Exception as error:  # a peer that fails is a missing row, not the end of the run
                of_method, failure = {}, repr(error)
                if os.environ.get("BENCH_DEBUG"):
                    raise
            else:
                failure = None
            finally:
                for module in task.model.modules():
                    module._forward_hooks.clear()
        if failure:
            print(f"dattri {method}: {failure}", file=sys.stderr)
        found |= {f"{method}|{setting}": s.float() for setting, s in of_method.items()}
        bar.at(done + 1, sys.stderr)
    return found
