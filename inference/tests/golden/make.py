"""Golden logits of base models with and without PEFT adapters, merges, tokenizers and chats; see
make.sh."""

import json
import os
import shutil
import sys
import tempfile
import zlib
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, load_peft_weights, set_peft_model_state_dict
from safetensors.torch import load_file, save_file

from adapters import expert_adapter, family_adapters, rule_adapters, save_adapter
from chats import make_chats
from encoders import make_encoder, make_fetched
from families import FAMILIES, POSITIONED
from merges import make_merges
from models import KEPT, LENGTH, SKIPPED, clear, experts_are_certain, load, logits, make_base, noise
from vocabularies import make_tokenizers

HERE = Path(__file__).resolve().parent


def golden(base: Path, folder: Path, adapters: list[str], skipped: bool = False) -> torch.Tensor:
    vocabulary = json.loads((base / "config.json").read_text())["vocab_size"]
    tokens = torch.randint(vocabulary, (LENGTH,))
    plain = load(base)
    tensors = {
        "tokens": tokens.to(torch.int32),
        "kept": torch.tensor(KEPT, dtype=torch.int32),
        "base": logits(plain, tokens),
    }
    spread = tensors["base"].std().item()
    print(f"{folder.name}: logits spread by {spread:.2f}")
    assert spread > 0.3, "logits that hardly differ test nothing"
    rounding = noise(base, tokens)
    print(f"  rounding moves them by up to {rounding:.1e}")
    assert rounding < 2e-5, "the tests ask for 1e-4"
    if skipped:
        tensors["skipped"] = logits(plain, tokens, SKIPPED)
        tensors["skipped_positions"] = torch.tensor(SKIPPED, dtype=torch.int32)
        moved = (tensors["skipped"] - tensors["base"]).abs().max().item()
        print(f"  left-out positions move them by up to {moved:.3f}")
        assert moved > 0.01, "positions that hardly act test nothing"
    for name in adapters:
        tensors[name] = logits(load(base, folder / name), tokens)
        moved = (tensors[name] - tensors["base"]).abs().max().item()
        print(f"  {name} moves them by up to {moved:.3f}")
        assert moved > 0.1, "an adapter that hardly acts tests nothing"
    save_file(tensors, folder / "golden.safetensors")
    return tokens


def make_family(name: str) -> None:
    # Every family has its own seed, so that one can be made again without the others.
    torch.manual_seed(zlib.crc32(name.encode()))
    folder = clear(HERE / name)
    base = folder / "base"
    make_base(name, FAMILIES[name], base)
    adapters = family_adapters(name, base, folder)
    if name == "llama3":
        adapters += rule_adapters(base, folder)
    tokens = golden(base, folder, adapters, skipped=name in POSITIONED)
    if name.startswith("deepseek_v2"):
        experts_are_certain(base, tokens)
        add_expert_adapter(base, folder, tokens)


def add_expert_adapter(base: Path, folder: Path, tokens: torch.Tensor) -> None:
    adapter, weights = expert_adapter(base, folder)
    with tempfile.TemporaryDirectory() as merged:
        shutil.copy(base / "config.json", merged)
        save_file(weights, Path(merged) / "model.safetensors", metadata={"format": "pt"})
        experts_are_certain(Path(merged), tokens)
        tensors = load_file(folder / "golden.safetensors")
        tensors[adapter] = logits(load(Path(merged)), tokens)
    moved = (tensors[adapter] - tensors["base"]).abs().max().item()
    print(f"  {adapter} moves them by up to {moved:.3f}")
    assert moved > 0.1, "an adapter that hardly acts tests nothing"
    save_file(tensors, folder / "golden.safetensors")


def make_exports(folder: Path) -> None:
    """Logits with the adapters that training saved: PEFT must know every tensor and miss none."""
    stored = {}
    for adapter in sorted(path for path in folder.iterdir() if path.is_dir()):
        base = HERE / adapter.name / "base"
        config = LoraConfig.from_pretrained(adapter)
        config.inference_mode = True
        model = PeftModel(load(base), config)
        result = set_peft_model_state_dict(model, load_peft_weights(adapter, device="cpu"))
        missing = [key for key in result.missing_keys if "lora_" in key]
        assert not missing and not result.unexpected_keys, (adapter.name, missing, result)
        tokens = load_file(HERE / adapter.name / "golden.safetensors")["tokens"].long()
        stored[adapter.name] = logits(model.eval(), tokens)
        moved = (stored[adapter.name] - logits(load(base), tokens)).abs().max().item()
        print(f"{adapter.name}: the adapter moves logits by up to {moved:.3f}")
        assert moved > 0.1, "an adapter that hardly acts tests nothing"
    save_file(stored, folder / "logits.safetensors")


def make_for(base: Path) -> None:
    torch.manual_seed(1612)
    folder = clear(HERE / base.name)
    folder.mkdir()
    save_adapter(base, folder / "adapter", r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"])
    golden(base, folder, ["adapter"])


def make_encoders() -> None:
    make_encoder(HERE / "encoder")
    fetched = Path(os.environ.get("OPENLEDGER_CACHE", Path.home() / ".cache" / "openledger")) / "encoder"
    if fetched.exists():
        make_fetched(fetched, HERE / "encoder_minilm")


def make_all() -> None:
    for name in FAMILIES:
        make_family(name)
    torch.manual_seed(1612)
    make_merges(HERE / "llama3" / "base", HERE / "merge")
    make_tokenizers(HERE / "tokenizers")
    make_chats()
    make_exports(HERE / "exports")
    make_encoders()


if __name__ == "__main__":
    torch.use_deterministic_algorithms(True)
    arguments = sys.argv[1:]
    if not arguments:
        make_all()
    for argument in arguments:
        if argument in FAMILIES:
            make_family(argument)
        elif argument == "merge":
            torch.manual_seed(1612)
            make_merges(HERE / "llama3" / "base", HERE / "merge")
        elif argument == "tokenizers":
            make_tokenizers(HERE / "tokenizers")
        elif argument == "chats":
            make_chats()
        elif argument == "exports":
            make_exports(HERE / "exports")
        elif argument == "encoders":
            make_encoders()
        else:
            make_for(Path(argument).resolve())
