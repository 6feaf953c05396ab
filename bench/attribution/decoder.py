"""A decoder of LLaMA's shape, plain enough to be mapped over stacks of adapters.

Weights are named as in Hugging Face's files, so the project's base model loads into it."""

from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn


class Norm(nn.Module):
    def __init__(self, width: int, epsilon: float):
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(width)), epsilon

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon)


def rotate(x, cos, sin):
    """Rotary positions on `(rows, heads, tokens, width)`: halves turn against each other."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.shared, self.width = c.num_attention_heads, c.num_key_value_heads, c.head_dim
        self.q_proj = nn.Linear(c.hidden_size, self.heads * self.width, bias=False)
        self.k_proj = nn.Linear(c.hidden_size, self.shared * self.width, bias=False)
        self.v_proj = nn.Linear(c.hidden_size, self.shared * self.width, bias=False)
        self.o_proj = nn.Linear(self.heads * self.width, c.hidden_size, bias=False)

    def forward(self, x, cos, sin, mask):
        rows, tokens, _ = x.shape
        split = lambda y, heads: y.reshape(rows, tokens, heads, self.width).transpose(1, 2)
        q = rotate(split(self.q_proj(x), self.heads), cos, sin)
        k = rotate(split(self.k_proj(x), self.shared), cos, sin)
        v = split(self.v_proj(x), self.shared)
        group = self.heads // self.shared
        q = q.reshape(rows, self.shared, group * tokens, self.width)
        scores = (q @ k.transpose(-1, -2)).reshape(rows, self.shared, group, tokens, tokens) * self.width**-0.5
        mixed = (scores + mask).softmax(-1).reshape(rows, self.shared, group * tokens, tokens) @ v
        mixed = mixed.reshape(rows, self.heads, tokens, self.width).transpose(1, 2)
        return self.o_proj(mixed.reshape(rows, tokens, -1))


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.up_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.down_proj = nn.Linear(c.intermediate_size, c.hidden_size, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm = Norm(c.hidden_size, c.rms_norm_eps)
        self.self_attn = Attention(c)
        self.post_attention_layernorm = Norm(c.hidden_size, c.rms_norm_eps)
        self.mlp = Mlp(c)

    def forward(self, x, cos, sin, mask):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """`(rows, tokens)` or `(tokens,)` to logits `(rows, tokens, vocabulary)`; output weights are the embedding's."""

    def __init__(self, config: dict):
        super().__init__()
        c = SimpleNamespace(**config)
        self.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.layers = nn.ModuleList(Block(c) for _ in range(c.num_hidden_layers))
        self.norm = Norm(c.hidden_size, c.rms_norm_eps)
        turns = c.rope_theta ** -(torch.arange(0, c.head_dim, 2) / c.head_dim)
        angles = torch.outer(torch.arange(c.max_position_embeddings), turns)
        self.register_buffer("angles", torch.cat([angles, angles], -1), persistent=False)

    def hidden(self, x):
        x = x if x.dim() == 2 else x[None]
        tokens = x.shape[1]
        cos, sin = self.angles[:tokens].cos(), self.angles[:tokens].sin()
        mask = torch.full((tokens, tokens), float("-inf")).triu(1)
        state = F.embedding(x, self.embed_tokens.weight)
        for layer in self.layers:
            state = layer(state, cos, sin, mask)
        return self.norm(state)

    def forward(self, x):
        return self.hidden(x) @ self.embed_tokens.weight.T


IGNORED = -100


def token_losses(logits, y):
    """Negative log-likelihood of each row's counted targets, summed, and how many there are."""
    counted = (y != IGNORED).float()
    scores = logits.log_softmax(-1).gather(-1, y.clamp(min=0)[..., None])[..., 0]
    return -(scores * counted).sum(-1), counted.sum(-1)


def mean_hidden(model, x, y):
    """Mean of the last hidden state over the counted targets, `(rows, width)`."""
    counted = (y != IGNORED).float()[..., None]
    return (model.hidden(x) * counted).sum(1) / counted.sum(1)
