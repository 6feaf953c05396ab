"""Golden logits of base models with and without PEFT adapters; see make.sh."""

import json
import shutil
import sys
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

HERE = Path(__file__).resolve().parent
# Positions whose logits are stored: the first, one inside, and the last ones, which the test also
# reaches by decoding with the cache.
KEPT = [0, 9, 21, 22, 23]
LENGTH = 24


def tiny_base(folder: Path) -> None:
    config = LlamaConfig(
        vocab_size=96,
        hidden_size=32,
        intermediate_size=56,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        rope_theta=10000.0,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config).float()
    for name, weight in model.named_parameters():
        if "norm" in name:
            torch.nn.init.uniform_(weight, 0.5, 1.5)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)


def adapter(base: Path, folder: Path, **settings) -> None:
    """Saves an adapter whose B is not zero, at the size of a trained one."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    # The base is named as it stands in the repository, not as a path of this machine.
    model.peft_config["default"].base_model_name_or_path = base.name
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def logits(base: Path, adapter_folder: Path | None, tokens: torch.Tensor) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.float32, attn_implementation="eager"
    )
    if adapter_folder is not None:
        model = PeftModel.from_pretrained(model, adapter_folder)
    with torch.no_grad():
        return model.eval()(tokens[None]).logits[0, KEPT].contiguous()


def golden(base: Path, folder: Path, adapters: list[str]) -> None:
    vocabulary = json.loads((base / "config.json").read_text())["vocab_size"]
    tokens = torch.randint(vocabulary, (LENGTH,))
    tensors = {
        "tokens": tokens.to(torch.int32),
        "kept": torch.tensor(KEPT, dtype=torch.int32),
        "base": logits(base, None, tokens),
    }
    for name in adapters:
        tensors[name] = logits(base, folder / name, tokens)
        moved = (tensors[name] - tensors["base"]).abs().max().item()
        print(f"{name}: logits move by up to {moved:.3f}")
        assert moved > 0.1, "an adapter that hardly acts tests nothing"
    save_file(tensors, folder / "golden.safetensors")


def make_tiny() -> None:
    folder = HERE / "tiny"
    shutil.rmtree(folder, ignore_errors=True)
    base = folder / "base"
    tiny_base(base)
    adapter(
        base,
        folder / "rank_stabilised",
        r=3,
        lora_alpha=5,
        use_rslora=True,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
    )
    adapter(
        base,
        folder / "patterns",
        r=4,
        lora_alpha=8,
        target_modules="all-linear",
        rank_pattern={"down_proj": 7, "layers.1.self_attn.q_proj": 2},
        alpha_pattern={"mlp.up_proj": 3, "layers.0.self_attn.v_proj": 1},
    )
    golden(base, folder, ["rank_stabilised", "patterns"])


def make_for(base: Path) -> None:
    folder = HERE / base.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    adapter(base, folder / "adapter", r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"])
    golden(base, folder, ["adapter"])


if __name__ == "__main__":
    torch.manual_seed(1612)
    torch.use_deterministic_algorithms(True)
    if len(sys.argv) > 1:
        make_for(Path(sys.argv[1]).resolve())
    else:
        make_tiny()
