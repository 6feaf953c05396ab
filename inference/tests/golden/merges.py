"""What PEFT's `add_weighted_adapter` makes of three adapters.

Every merge works on A and B apart, each adapter counting `sqrt(|w s|)` on both sides with the sign
on A, and has scale 1. Linear adds. TIES keeps the `density` largest of each tensor, elects for every
place the sign of the sum (`total`) or of the count of signs (`frequency`) before weights, ties to
plus, and averages the weighted values of that sign. DARE keeps each value with probability `density`
and divides it by `density`, then adds (`dare_linear`) or elects (`dare_ties`): random but for density
1, so that is what is stored of it.
"""

import json
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import save_file

from adapters import save_adapter
from models import LENGTH, clear, load, logits

MERGES = {
    "linear": {"combination_type": "linear", "weights": [0.7, 0.5, 1.2]},
    "linear_negative": {"combination_type": "linear", "weights": [1.0, -0.6, 0.3]},
    "ties_total": {
        "combination_type": "ties",
        "weights": [0.7, 0.5, 1.2],
        "density": 0.4,
        "majority_sign_method": "total",
    },
    "ties_frequency": {
        "combination_type": "ties",
        "weights": [0.7, 0.5, 1.2],
        "density": 0.4,
        "majority_sign_method": "frequency",
    },
    "ties_dense_negative": {
        "combination_type": "ties",
        "weights": [1.0, -0.6, 0.3],
        "density": 1.0,
        "majority_sign_method": "total",
    },
    "magnitude_prune": {
        "combination_type": "magnitude_prune",
        "weights": [0.7, 0.5, 1.2],
        "density": 0.3,
    },
    "dare_linear_dense": {
        "combination_type": "dare_linear",
        "weights": [0.7, 0.5, 1.2],
        "density": 1.0,
    },
    "dare_ties_dense": {
        "combination_type": "dare_ties",
        "weights": [0.7, 0.5, 1.2],
        "density": 1.0,
        "majority_sign_method": "frequency",
    },
    # Ranks side by side: the only one that is the exact sum of the parts.
    "cat": {"combination_type": "cat", "weights": [0.7, 0.5, 1.2]},
}


def make_merges(base: Path, folder: Path) -> None:
    clear(folder)
    sites = ["q_proj", "v_proj", "down_proj"]
    save_adapter(base, folder / "a", r=4, lora_alpha=8, target_modules=sites)
    save_adapter(base, folder / "b", r=4, lora_alpha=3, target_modules=sites)
    save_adapter(base, folder / "c", r=4, lora_alpha=4, use_rslora=True, target_modules=sites)
    model = PeftModel.from_pretrained(load(base), folder / "a", adapter_name="a")
    for name in "bc":
        model.load_adapter(folder / name, adapter_name=name)
    tokens = torch.randint(96, (LENGTH,))
    tensors = {"tokens": tokens.to(torch.int32)}
    for name, settings in MERGES.items():
        model.add_weighted_adapter(["a", "b", "c"], adapter_name=name, **settings)
        model.set_adapter(name)
        tensors[f"{name}.logits"] = logits(model, tokens)
        for path, module in model.named_modules():
            if hasattr(module, "lora_A") and name in module.lora_A:
                path = path.removeprefix("base_model.model.")
                tensors[f"{name}.{path}.lora_A"] = module.lora_A[name].weight.detach().clone()
                tensors[f"{name}.{path}.lora_B"] = module.lora_B[name].weight.detach().clone()
                assert module.scaling[name] == 1.0, module.scaling
    save_file(tensors, folder / "golden.safetensors")
    text = json.dumps({"adapters": ["a", "b", "c"], "merges": MERGES}, indent=2)
    (folder / "merges.json").write_text(text + "\n")
