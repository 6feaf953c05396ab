"""llama.cpp (llama-cpp-python) on the benchmark's base model in Q8_0, one stream. Writes the GGUF itself: LLaMA's names,
q and k in llama.cpp's order of rotation, no vocabulary, because only token ids are fed.

Says `ready`, then runs a stream for each line `one TOKENS` of its input and answers with a line of JSON."""

import json
import os
import sys
import time
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
import torch
from safetensors.torch import load_file

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
TABLES = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}


def gguf_name(name: str) -> str:
    if name == "lm_head.weight":
        return "output.weight"
    if name in TABLES:
        return TABLES[name]
    _, _, layer, module = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{NAMES[module]}.weight"


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """Halves of each head interleaved: llama.cpp rotates neighbours where transformers rotates halves."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write(folder: Path, path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    for name, weight in load_file(folder / "model.safetensors").items():
        weight = weight.to(torch.float32).numpy()
        if "q_proj" in name or "k_proj" in name:
            weight = permuted(weight, config["num_attention_heads"])
        if weight.ndim == 1:
            writer.add_tensor(gguf_name(name), weight)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(gguf_name(name), gguf.quants.quantize(weight, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def stream(model, prompt: list[int], new_tokens: int) -> dict:
    model.reset()
    vocab = model.n_vocab()
    answer = []
    begin = time.perf_counter()
    model.eval(prompt)
    while True:
        row = llama_cpp.llama_get_logits_ith(model.ctx, -1)
        answer.append(int(np.argmax(np.ctypeslib.as_array(row, shape=(vocab,)))))
        if len(answer) == new_tokens:
            break
        model.eval(answer[-1:])
    return {"rate": new_tokens / (time.perf_counter() - begin), "answers": [answer]}


def main(folder: Path, threads: int) -> None:
    # Only answers go to the output that is read.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    path = folder / "base-q8_0.gguf"
    if not path.exists():
        write(folder / "base", path.with_suffix(".partial"))
        path.with_suffix(".partial").rename(path)
    prompt = json.loads((folder / "workload.json").read_text())["prompts"][0]
    options = {"n_ctx": 512, "n_threads": threads, "n_threads_batch": threads}
    model = llama_cpp.Llama(str(path), verbose=False, **options)
    print("ready", file=channel, flush=True)
    for line in sys.stdin:
        _, tokens = line.split()
        print(json.dumps(stream(model, prompt, int(tokens))), file=channel, flush=True)


main(Path(sys.argv[1]), int(sys.argv[2]))
