"""transformers and PEFT on the benchmark's workload, in f32: one stream, and a batch in which every request has another
adapter (`adapter_names`). Greedy, with the cache. Writes medians over repeats, in tokens per second of output."""

import json
import statistics
import sys
import time
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

REPEATS = 3


def generate(model, prompts: list[list[int]], new_tokens: int, **options) -> float:
    tokens = torch.tensor(prompts)
    begin = time.perf_counter()
    with torch.no_grad():
        out = model.generate(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens,
            do_sample=False,
            use_cache=True,
            pad_token_id=0,
            **options,
        )
    seconds = time.perf_counter() - begin
    assert out.shape[1] == tokens.shape[1] + new_tokens
    return len(prompts) * new_tokens / seconds


def measured(name: str, run) -> dict:
    run()
    rates = [run() for _ in range(REPEATS)]
    row = {"name": name, "value": statistics.median(rates), "low": min(rates), "high": max(rates)}
    print(f"{name}: {row['value']:.1f} tokens/s ({row['low']:.1f} to {row['high']:.1f})", flush=True)
    return row


def main(folder: Path, out: Path) -> None:
    torch.set_num_threads(int(sys.argv[3]))
    workload = json.loads((folder / "workload.json").read_text())
    prompts, count = workload["prompts"], workload["new_tokens"]
    model = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32).eval()
    rows = [
        measured("transformers f32, one stream", lambda: generate(model, prompts[:1], count)),
        measured("transformers f32, 16 requests", lambda: generate(model, prompts, count)),
    ]
    names = [f"adapter-{number}" for number in range(workload["adapters"])]
    model = PeftModel.from_pretrained(model, folder / names[0], adapter_name=names[0])
    for name in names[1:]:
        model.load_adapter(folder / name, adapter_name=name)
    model.eval()
    mixed = lambda: generate(model, prompts, count, adapter_names=names)
    rows.append(measured("transformers + peft f32, 16 requests, 16 adapters", mixed))
    out.write_text(json.dumps({"rows": rows}))


main(Path(sys.argv[1]), Path(sys.argv[2]))
