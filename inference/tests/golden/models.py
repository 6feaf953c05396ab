"""Random weights for a configuration, and what a model computes with them."""

import json
import shutil
import tempfile
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

from families import UNPREFIXED

logging.disable_progress_bar()

LENGTH = 24
# Positions whose logits are stored: the first, two inside, and the last ones, which the tests also
# reach by decoding with the cache.
KEPT = [0, 9, 16, 21, 22, 23]
# Rope positions with places left out; tokens still see each other in order.
SKIPPED = [*range(3, 11), *range(14, 22), *range(33, 41)]


def randomise(model: torch.nn.Module) -> None:
    """Weights that keep activations near 1, so that every part of the model shows in the logits."""
    for name, weight in model.named_parameters():
        if "norm" in name or ".ln_" in name:
            if name.endswith("bias"):
                torch.nn.init.normal_(weight, std=0.2)
            elif model.config.model_type.startswith("gemma"):
                # Gemma multiplies by 1 + w.
                torch.nn.init.uniform_(weight, -0.5, 0.5)
            else:
                torch.nn.init.uniform_(weight, 0.5, 1.5)
        elif name.endswith("bias"):
            torch.nn.init.normal_(weight, std=0.2)
        elif any(table in name for table in ("embed", "wte", "wpe")):
            torch.nn.init.normal_(weight, std=0.5)
        else:
            # Conv1D of GPT-2 holds (in, out), everything else (.., out, in).
            fan_in = weight.shape[0] if "c_" in name else weight.shape[-1]
            torch.nn.init.normal_(weight, std=1.3 * fan_in**-0.5)


def make_base(name: str, config: dict, folder: Path) -> None:
    folder.mkdir(parents=True)
    path = folder / "config.json"
    path.write_text(json.dumps(config, indent=2) + "\n")
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).float()
    randomise(model)
    with tempfile.TemporaryDirectory() as saved:
        model.save_pretrained(saved)
        tensors = load_file(Path(saved) / "model.safetensors")
    if name in UNPREFIXED:
        tensors = {key.removeprefix("transformer."): value for key, value in tensors.items()}
    if name == "gpt2":
        # Old checkpoints carry their causal masks.
        mask = torch.tril(torch.ones(1, 1, config["n_ctx"], config["n_ctx"], dtype=torch.uint8))
        tensors |= {f"h.{i}.attn.bias": mask.clone() for i in range(config["n_layer"])}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def load(base: Path, adapter: Path | None = None) -> torch.nn.Module:
    # Falcon's eager attention adds the ALiBi bias twice: to the mask and to the scores.
    alibi = json.loads((base / "config.json").read_text()).get("alibi")
    model, info = AutoModelForCausalLM.from_pretrained(
        base,
        dtype=torch.float32,
        attn_implementation="sdpa" if alibi else "eager",
        experts_implementation="eager",
        output_loading_info=True,
    )
    assert not info["missing_keys"] and not info["mismatched_keys"], info
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter)
    return model.eval()


def logits(model: torch.nn.Module, tokens: torch.Tensor, positions: list[int] | None = None):
    places = None if positions is None else torch.tensor([positions])
    # With a mask, positions that do not follow each other still belong to one sequence.
    mask = torch.ones_like(tokens)[None]
    with torch.no_grad():
        out = model(tokens[None], attention_mask=mask, position_ids=places).logits
    return out[0, KEPT].contiguous()


def noise(base: Path, tokens: torch.Tensor) -> float:
    """How far rounding to f32 moves the logits: what any other order of sums may differ by."""
    exact = logits(load(base).double(), tokens)
    return (logits(load(base), tokens) - exact).abs().max().item()


def experts_are_certain(base: Path, tokens: torch.Tensor) -> None:
    """Two experts that score alike could change places with the order of a sum."""
    model, gaps = load(base), []

    def gap(module, _, output):
        # The chosen and the best of the others that could have been chosen.
        scores = output[0].softmax(-1).sort(-1, descending=True).values
        gaps.append((scores[:, :-1] - scores[:, 1:])[:, : module.top_k + 1].min().item())

    for name, module in model.named_modules():
        if name.endswith("mlp.gate"):
            module.register_forward_hook(gap)
    logits(model, tokens)
    print(f"  smallest gap between experts {min(gaps):.1e}")
    assert min(gaps) > 1e-4, "another seed would make the choice of experts certain"


def clear(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder
