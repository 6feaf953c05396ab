"""A tiny random sentence encoder and the vectors that `transformers` gives for texts."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModel, BertConfig, BertModel, PreTrainedTokenizerFast

from models import clear, randomise
from vocabularies import corpus

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MAX_TOKENS = 24
TEXTS = [
    "The owner settles each token.",
    "Every operator slashes its stake!",
    "function transfer(address to, uint256 amount) external returns (bool);",
    "",
    "caf\u00e9 \u6f22\u5b57 \U0001f980",
    " ".join(["a ledger proves the claim of 12 contributors"] * 9),
]
# What a pooled vector of a real model must be, for the fetched one.
QUESTIONS = ["How is a bond slashed?", "What does the voucher of a call promise to the operator?", TEXTS[2]]


def wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=240, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    ids = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A:0 [SEP]:0 $B:1 [SEP]:1", ids)
    # As files from the hub often have them; the loader must not care.
    tokenizer.enable_truncation(128)
    tokenizer.enable_padding(length=128)
    return tokenizer


def vectors(folder: Path, max_tokens: int, texts: list[str], pooling: str = "mean") -> torch.Tensor:
    """Pooled and normalised as sentence-transformers does."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token="[PAD]")
    model = AutoModel.from_pretrained(folder).float().eval()
    batch = tokenizer(texts, padding=True, truncation=True, max_length=max_tokens, return_tensors="pt")
    with torch.no_grad():
        hidden = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1).float()
    pooled = hidden[:, 0] if pooling == "cls" else (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
    return torch.nn.functional.normalize(pooled, p=2, dim=1)


def make_encoder(folder: Path) -> None:
    torch.manual_seed(1612)
    clear(folder)
    (folder / "1_Pooling").mkdir(parents=True)
    tokenizer = wordpiece()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=32, architectures=["BertModel"],
    )
    model = BertModel(config, add_pooling_layer=False)
    randomise(model)
    for name, weight in model.named_parameters():
        if name.endswith("LayerNorm.weight"):
            torch.nn.init.uniform_(weight, 0.5, 1.5)
    model.save_pretrained(folder)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": MAX_TOKENS}) + "\n")
    modes = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes) + "\n")
    tensors = {
        "mean": vectors(folder, MAX_TOKENS, TEXTS),
        "cls": vectors(folder, MAX_TOKENS, TEXTS, "cls"),
    }
    nearest = (tensors["mean"] @ tensors["mean"].T - 2 * torch.eye(len(TEXTS))).max().item()
    print(f"{folder.name}: no two texts have a cosine above {nearest:.3f}")
    assert nearest < 0.97, "vectors that hardly differ test nothing"
    save_file(tensors, folder / "golden.safetensors")
    (folder / "texts.json").write_text(json.dumps(TEXTS, indent=1) + "\n")


def make_fetched(encoder: Path, folder: Path) -> None:
    """Vectors of the weights that tools/encoder.sh fetches; only the vectors are kept."""
    clear(folder)
    folder.mkdir(parents=True)
    save_file({"mean": vectors(encoder, 256, QUESTIONS)}, folder / "golden.safetensors")
    (folder / "texts.json").write_text(json.dumps(QUESTIONS, indent=1) + "\n")
