"""transformers and PEFT on the benchmark's workload, in f32, greedy, with the cache: `one` stream, or a batch in which every
request has another adapter (`mixed`, by `adapter_names`).

Says `ready`, then runs a case for each line `CASE TOKENS` of its input and answers with a line of JSON: tokens of output per
second, and the answers."""

import json
import os
import sys
import time
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def generate(model, prompts: list[list[int]], new_tokens: int, **options) -> dict:
    tokens = torch.tensor(prompts)
    begin = time.perf_counter()
    with torch.inference_mode():
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
    answers = out[:, tokens.shape[1] :]
    assert answers.shape[1] == new_tokens
    return {"rate": answers.numel() / seconds, "answers": answers.tolist()}


def load(folder: Path):
    return AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32).eval()


def with_adapters(folder: Path, names: list[str]):
    model = PeftModel.from_pretrained(load(folder), folder / names[0], adapter_name=names[0])
    for name in names[1:]:
        model.load_adapter(folder / name, adapter_name=name)
    return model.eval()


def main(folder: Path, threads: int) -> None:
    torch.set_num_threads(threads)
    # Only answers go to the output that is read.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    workload = json.loads((folder / "workload.json").read_text())
    prompts = workload["prompts"]
    names = [f"adapter-{number}" for number in range(workload["adapters"])]
    # One model each: adapters stay in a model's layers when they are not asked for.
    plain, mixed = load(folder), with_adapters(folder, names)
    cases = {
        "one": lambda tokens: generate(plain, prompts[:1], tokens),
        "base": lambda tokens: generate(plain, prompts, tokens),
        "mixed": lambda tokens: generate(mixed, prompts, tokens, adapter_names=names),
    }
    print("ready", file=channel, flush=True)
    for line in sys.stdin:
        case, tokens = line.split()
        print(json.dumps(cases[case](int(tokens))), file=channel, flush=True)


main(Path(sys.argv[1]), int(sys.argv[2]))
