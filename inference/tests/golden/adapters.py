"""PEFT adapters with weights of the size of trained ones, as `save_pretrained` writes them."""

import json
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from peft.utils import transformers_weight_conversion as conversion
from safetensors.torch import load_file, save_file

from models import load

# Per family: the fused (or first) projections of attention, one more module inside the MLP, and
# one that gets another rank and alpha in the second layer only.
FUSED = {
    "falcon_7b": ("query_key_value", "dense_4h_to_h"),
    "falcon_40b": ("query_key_value", "dense_4h_to_h"),
    "falcon_11b": ("query_key_value", "dense_4h_to_h"),
    "falcon_rw": ("query_key_value", "dense_4h_to_h"),
    "bloom": ("query_key_value", "dense_4h_to_h"),
    "gpt2": ("attn.c_attn", "mlp.c_proj"),
    "deepseek_v2_lite": ("kv_a_proj_with_mqa", "shared_experts.down_proj"),
    "deepseek_v2": ("q_b_proj", "shared_experts.down_proj"),
    "glm": ("q_proj", "gate_up_proj"),
    "glm4": ("q_proj", "gate_up_proj"),
}
# Attention, the dense layer and the shared experts; not the experts, which transformers stacks.
MLA = ["q_proj", "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"]
DENSE = [f"{part}.{name}_proj" for part in ("mlp", "shared_experts") for name in ("gate", "up", "down")]
# PEFT would take the names of modules here for those of the stacked experts.
conversion._convert_peft_config_moe = lambda config, model: None
LAYERS = {"bloom": "h", "gpt2": "h"} | {
    name: "h" for name in ("falcon_7b", "falcon_40b", "falcon_11b", "falcon_rw")
}


def save_adapter(base: Path, folder: Path, **settings) -> None:
    """Saves an adapter whose B is not zero."""
    model = get_peft_model(load(base), LoraConfig(task_type="CAUSAL_LM", **settings))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    # The base is named as it stands in the repository, not as a path of this machine.
    model.peft_config["default"].base_model_name_or_path = base.name
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def family_adapters(name: str, base: Path, folder: Path) -> list[str]:
    """Two adapters for every family; their names."""
    conv = {"fan_in_fan_out": True} if name == "gpt2" else {}
    attention, mlp = FUSED.get(name, ("q_proj", "up_proj"))
    last = attention.rsplit(".", 1)[-1]
    layers = LAYERS.get(name, "layers")
    save_adapter(
        base,
        folder / "rank_stabilised",
        r=3,
        lora_alpha=5,
        use_rslora=True,
        target_modules=[attention, mlp],
        **conv,
    )
    inside = "attn" if name == "gpt2" else "self_attention" if layers == "h" else "self_attn"
    save_adapter(
        base,
        folder / "patterns",
        r=4,
        lora_alpha=8,
        target_modules=MLA + DENSE if name.startswith("deepseek_v2") else "all-linear",
        rank_pattern={mlp: 6, f"{layers}.1.{inside}.{last}": 2},
        alpha_pattern={mlp: 3, f"{layers}.0.{inside}.{last}": 1},
        **conv,
    )
    return ["rank_stabilised", "patterns"]


def expert_adapter(base: Path, folder: Path) -> tuple[str, dict[str, torch.Tensor]]:
    """An adapter on single experts, as PEFT writes it where every expert is a module of its own
    (DeepSeek's code and transformers before 5), and the weights of the base with it merged in."""
    name = "experts"
    settings = {"r": 2, "lora_alpha": 6, "target_modules": ["experts.1.up_proj", "experts.4.down_proj"]}
    config = LoraConfig(task_type="CAUSAL_LM", base_model_name_or_path=base.name, **settings)
    config.save_pretrained(folder / name)
    path = folder / name / "adapter_config.json"
    text = json.loads(path.read_text()) | {"target_modules": settings["target_modules"]}
    path.write_text(json.dumps(text, indent=2, sort_keys=True) + "\n")
    weights, adapter = load_file(base / "model.safetensors"), {}
    for key, weight in weights.items():
        module = key.removesuffix(".weight")
        if any(module.endswith(target) for target in settings["target_modules"]):
            a = torch.randn(2, weight.shape[1]) * weight.shape[1] ** -0.5
            b = torch.randn(weight.shape[0], 2) * 0.3
            adapter[f"base_model.model.{module}.lora_A.weight"] = a
            adapter[f"base_model.model.{module}.lora_B.weight"] = b
            weights[key] = weight + 3.0 * b @ a
    save_file(adapter, folder / name / "adapter_model.safetensors", metadata={"format": "pt"})
    return name, weights


def rule_adapters(base: Path, folder: Path) -> list[str]:
    """PEFT's other rules for what an adapter sits on, on one LLaMA; their names."""
    save_adapter(
        base,
        folder / "regular_expression",
        r=2,
        lora_alpha=4,
        target_modules=r".*\.1\.self_attn\.(q|v)_proj|model\.layers\.0\.mlp\..*_proj",
        rank_pattern={r"layers\.\d+\.self_attn\.v_proj": 3, "^model.layers.0.mlp.gate_proj": 1},
    )
    save_adapter(
        base,
        folder / "some_layers",
        r=2,
        lora_alpha=4,
        target_modules=["q_proj", "k_proj", "mlp.down_proj"],
        layers_to_transform=[1],
        exclude_modules=["k_proj"],
    )
    save_adapter(
        base,
        folder / "modules_to_save",
        r=2,
        lora_alpha=4,
        target_modules=["q_proj"],
        modules_to_save=["lm_head"],
    )
    return ["regular_expression", "some_layers"]
