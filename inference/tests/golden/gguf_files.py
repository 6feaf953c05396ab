"""GGUF files written by the `gguf` package, and logits of `transformers` on their dequantised weights.

    $GOLDEN_VENV/bin/python inference/tests/golden/gguf_files.py
"""

import json
import zlib
from pathlib import Path

import gguf
import numpy
import torch
from gguf.quants import dequantize, quantize
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from models import KEPT, LENGTH, clear, logits, randomise

HERE = Path(__file__).resolve().parent
Q = gguf.GGMLQuantizationType

SHARED = {
    "vocab_size": 72,
    "hidden_size": 32,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 3,
}
MODELS = {
    "gguf_llama": ("llama", {"model_type": "llama", "rope_theta": 5000.0}),
    "gguf_qwen2": ("qwen2", {"model_type": "qwen2", "tie_word_embeddings": True}),
    "gguf_qwen3": ("qwen3", {"model_type": "qwen3", "head_dim": 16, "tie_word_embeddings": True}),
}
# One layer each; matrices that are 256 wide get the K-quant, the others Q8_0, F16 and Q5_0.
WIDE = [Q.Q4_K, Q.Q6_K, Q.BF16]
NARROW = {"q_proj": Q.Q8_0, "k_proj": Q.F16, "v_proj": Q.Q5_0, "o_proj": Q.Q8_0}


def interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of a rotated projection in the order of llama.cpp's llama."""
    shape = weight.shape
    return weight.reshape(heads, 2, -1, *shape[1:]).swapaxes(1, 2).reshape(shape)


def random_blocks(kind: Q, rows: int) -> numpy.ndarray:
    """A 256-wide matrix of any codes, for the formats that the package reads and does not write."""
    block = {Q.Q4_K: 144, Q.Q6_K: 210}[kind]
    data = numpy.frombuffer(torch.randint(256, (rows, block)).numpy().astype(numpy.uint8), numpy.uint8)
    data = data.reshape(rows, block).copy()
    scale = lambda top: (torch.rand(rows) * top).numpy().astype("<f2").view(numpy.uint8).reshape(rows, 2)
    if kind == Q.Q4_K:
        data[:, 0:2], data[:, 2:4] = scale(4e-4), scale(3e-3)
    else:
        data[:, 208:210] = scale(1e-4)
    return data


def stored(name: str, weight: torch.Tensor, layer: int) -> tuple[Q, numpy.ndarray]:
    if weight.dim() == 1:
        return Q.F32, weight.numpy()
    if weight.shape[1] == 256:
        kind = WIDE[layer]
        if kind != Q.BF16:
            return kind, random_blocks(kind, weight.shape[0])
        return kind, quantize(weight.numpy(), kind)
    module = name.split(".")[-2]
    kind = NARROW.get(module, Q.Q8_0)
    return kind, quantize(weight.numpy(), kind)


def make(name: str) -> None:
    torch.manual_seed(zlib.crc32(name.encode()))
    folder = clear(HERE / name)
    folder.mkdir()
    arch, own = MODELS[name]
    config = SHARED | own
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).float()
    path.unlink()
    randomise(model)
    head_dim = config.get("head_dim", 8)

    writer = gguf.GGUFWriter(folder / "model.gguf", arch)
    writer.add_block_count(3)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(256)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(config.get("rope_theta", 10000.0))
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(72)
    add_tokenizer(writer)

    names = gguf.get_tensor_name_map(
        {"llama": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2, "qwen3": gguf.MODEL_ARCH.QWEN3}[arch], 3
    )
    state = dict(model.named_parameters())
    for key, weight in state.items():
        layer = int(key.split(".")[2]) if ".layers." in key else 0
        kind, data = stored(key, weight.detach(), layer)
        with torch.no_grad():
            weight.copy_(torch.from_numpy(dequantize(data, kind).reshape(weight.shape).copy()))
        if arch == "llama" and ("q_proj" in key or "k_proj" in key):
            heads = 4 if "q_proj" in key else 2
            data = interleaved(torch.from_numpy(data.copy()), heads).numpy()
        writer.add_tensor(names.get_name(key, (".weight", ".bias")), data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    tokens = torch.randint(72, (LENGTH,))
    tensors = {
        "tokens": tokens.to(torch.int32),
        "kept": torch.tensor(KEPT, dtype=torch.int32),
        "base": logits(model.eval(), tokens),
    }
    print(f"{name}: logits spread by {tensors['base'].std().item():.2f}")
    save_file(tensors, folder / "golden.safetensors")


def add_tokenizer(writer: gguf.GGUFWriter) -> None:
    """A byte-level BPE of 72 tokens."""
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + ["Ġ", "Ċ", ".", ","]
    merges = ["t h", "th e", "i n", "Ġ the", "a n", "an d", "Ġ and", "e r", "o n", "in g"]
    tokens = ["<unk>", "<s>", "</s>", "<pad>"] + letters + [m.replace(" ", "") for m in merges]
    tokens += [f"<unused{i}>" for i in range(72 - len(tokens))]
    kinds = [gguf.TokenType.NORMAL] * 72
    for index, token in enumerate(tokens):
        if index < 4:
            kinds[index] = gguf.TokenType.CONTROL
        elif token.startswith("<unused"):
            kinds[index] = gguf.TokenType.UNUSED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(3)
    writer.add_add_bos_token(True)
    writer.add_chat_template("{% for m in messages %}{{ m['content'] }}.{% endfor %}")


if __name__ == "__main__":
    torch.use_deterministic_algorithms(True)
    for name in MODELS:
        make(name)
