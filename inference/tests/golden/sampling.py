"""Writes sampling.json: what transformers' logits processors make of some logits.

Each case has logits, a prompt, an answer so far, settings, and the probabilities of the next token.
Frequency and presence penalties, which transformers lacks, are computed here by their definition.
"""

import json
import pathlib

import torch
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

VOCAB = 24


def probabilities(logits, prompt, answer, case):
    scores = torch.tensor([logits], dtype=torch.float32)
    for token, bias in case.get("logit_bias", []):
        scores[0, token] += bias
    if "repetition_penalty" in case:
        ids = torch.tensor([prompt + answer])
        scores = RepetitionPenaltyLogitsProcessor(case["repetition_penalty"])(ids, scores)
    for token in set(answer):
        count = answer.count(token)
        scores[0, token] -= case.get("frequency_penalty", 0.0) * count + case.get("presence_penalty", 0.0)
    warpers = [TemperatureLogitsWarper(float(case["temperature"]))]
    if "top_k" in case:
        warpers.append(TopKLogitsWarper(case["top_k"]))
    if "top_p" in case:
        warpers.append(TopPLogitsWarper(case["top_p"]))
    if "min_p" in case:
        warpers.append(MinPLogitsWarper(case["min_p"]))
    for warper in warpers:
        scores = warper(None, scores)
    return torch.softmax(scores.double(), -1)[0].tolist()


SETTINGS = [
    {"temperature": 1.0},
    {"temperature": 0.7},
    {"temperature": 1.5, "top_k": 5},
    {"temperature": 1.0, "top_p": 0.6},
    {"temperature": 0.8, "top_p": 0.95},
    {"temperature": 1.0, "min_p": 0.2},
    {"temperature": 1.2, "top_k": 12, "top_p": 0.8, "min_p": 0.05},
    {"temperature": 1.0, "repetition_penalty": 1.3},
    {"temperature": 1.0, "repetition_penalty": 0.8, "top_p": 0.9},
    {"temperature": 1.0, "frequency_penalty": 0.5},
    {"temperature": 1.0, "presence_penalty": 1.5},
    {"temperature": 1.0, "frequency_penalty": -0.7, "presence_penalty": 0.3},
    {"temperature": 1.0, "logit_bias": [[3, 2.5], [7, -100.0]]},
    {
        "temperature": 0.9,
        "logit_bias": [[1, 1.0], [2, -2.0]],
        "repetition_penalty": 1.2,
        "frequency_penalty": 0.4,
        "presence_penalty": 0.2,
        "top_k": 15,
        "top_p": 0.85,
        "min_p": 0.03,
    },
]


def main():
    generator = torch.Generator().manual_seed(1612)
    cases = []
    for case in SETTINGS:
        logits = (2.5 * torch.randn(VOCAB, generator=generator)).tolist()
        prompt = torch.randint(VOCAB, (6,), generator=generator).tolist()
        answer = torch.randint(VOCAB, (7,), generator=generator).tolist() * 2
        expected = probabilities(logits, prompt, answer, case)
        cases.append({"logits": logits, "prompt": prompt, "answer": answer, "settings": case, "probabilities": expected})
    path = pathlib.Path(__file__).with_name("sampling.json")
    rows = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    path.write_text(f"[\n{rows}\n]\n")


if __name__ == "__main__":
    main()
