"""The benchmark's model, adapters and prompts: random weights, written once.

A LLaMA shape of 134 M parameters, 16 PEFT adapters of rank 16 at every projection with a B that is not zero, 16 prompts.
All weights are numbers of bf16 and stored so, as most published models are: every engine computes with the same values.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

ADAPTERS = 16
RANK = 16
PROMPT_TOKENS = 64
NEW_TOKENS = 64
SITES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def base() -> LlamaForCausalLM:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=768,
        intermediate_size=2_048,
        num_hidden_layers=12,
        num_attention_heads=12,
        num_key_value_heads=12,
        max_position_embeddings=2_048,
        tie_word_embeddings=False,
        # Nothing ends an answer early: every engine generates the same number of tokens.
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    return LlamaForCausalLM(config).to(torch.bfloat16)


def adapters(folder: Path) -> None:
    for number in range(ADAPTERS):
        torch.manual_seed(100 + number)
        model = LlamaForCausalLM.from_pretrained(folder / "base", dtype=torch.bfloat16)
        lora = LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=2 * RANK, target_modules=SITES)
        model = get_peft_model(model, lora)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.02)
        model.to(torch.bfloat16)
        model.peft_config["default"].base_model_name_or_path = "base"
        model.save_pretrained(folder / f"adapter-{number}")
        print(f"adapter {number + 1} of {ADAPTERS}", flush=True)


def main(folder: Path, tokenizer: Path) -> None:
    if (folder / "workload.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    model = base()
    model.save_pretrained(folder / "base")
    for name in ["tokenizer.json", "tokenizer_config.json"]:
        shutil.copy(tokenizer / name, folder / "base" / name)
    adapters(folder)
    torch.manual_seed(7)
    prompts = torch.randint(3, 4_000, (ADAPTERS, PROMPT_TOKENS)).tolist()
    workload = {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "adapters": ADAPTERS,
        "rank": RANK,
        "new_tokens": NEW_TOKENS,
        "prompts": prompts,
    }
    (folder / "workload.json").write_text(json.dumps(workload))


main(Path(sys.argv[1]), Path(sys.argv[2]))
