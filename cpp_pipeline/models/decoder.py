"""The forward pass of a decoder with a preallocated key/value cache, for generation.

Belongs here: fused weights and the arithmetic of Qwen3 and Llama family models without gradients.
Does not belong here: choosing tokens and bookkeeping of rows (`sampling`).
Training uses the library's forward; the tests hold both equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from cpp_pipeline.models.build import compute_dtype


@dataclass(frozen=True)
class _Layer:
    """Weights of one block; q, k, v and gate, up stand in one matrix each."""

    qkv: Tensor
    qkv_bias: Tensor | None
    qk_norm: Tensor | None
    out: Tensor
    out_bias: Tensor | None
    gate_up: Tensor
    down: Tensor
    norm_in: Tensor
    norm_mlp: Tensor
    activation: Any


class Decoder:
    """A model's weights in the layout of generation.

    Parameters
    ----------
    model
        Qwen3 or Llama family causal language model with full attention; later changes of its weights
        are not seen.
    positions
        Number of positions that the rotary table covers, in tokens.

    Raises
    ------
    ValueError
        For sliding-window attention, or blocks that have other parts.
    """

    def __init__(self, model: PreTrainedModel, positions: int) -> None:
        config, base = model.config, model.model
        if "sliding_attention" in (getattr(config, "layer_types", None) or []):
            raise ValueError(f"{config.model_type}: sliding-window attention is not supported by the sampler")
        self.device = base.embed_tokens.weight.device
        self.dtype = compute_dtype(self.device)
        self.heads: int = config.num_attention_heads
        self.kv_heads: int = config.num_key_value_heads
        first = base.layers[0].self_attn
        self.head_dim: int = first.head_dim
        self.scaling: float = first.scaling
        self.eps: float = config.rms_norm_eps
        self.embedding = base.embed_tokens.weight.detach().to(self.dtype)
        self.head = model.lm_head.weight.detach().to(self.dtype)
        self.norm = base.norm.weight.detach().to(self.dtype)
        self.layers = [self._layer(block) for block in base.layers]
        rotary = torch.arange(positions, device=self.device)[None]
        cos, sin = base.rotary_emb(torch.zeros(1, device=self.device), rotary)
        half = self.head_dim // 2
        self.cos = cos[0].to(self.dtype)
        # rotate_half(x) * sin == (x with its halves exchanged) * this
        self.sin = torch.cat((-sin[0, :, :half], sin[0, :, half:]), -1).to(self.dtype)

    def _layer(self, block: Any) -> _Layer:
        attention, mlp = block.self_attn, block.mlp
        if not hasattr(mlp, "gate_proj") or not hasattr(attention, "q_proj"):
            raise ValueError(f"{type(block).__name__}: the sampler knows Qwen3 and Llama style blocks only")

        def fuse(*parts: Tensor | None) -> Tensor | None:
            found = [p.detach().to(self.dtype) for p in parts if p is not None]
            return torch.cat(found) if found else None

        q, k, v = attention.q_proj, attention.k_proj, attention.v_proj
        qk_norm = None
        if hasattr(attention, "q_norm"):
            qk_norm = torch.cat(
                (
                    attention.q_norm.weight.detach().expand(self.heads, -1),
                    attention.k_norm.weight.detach().expand(self.kv_heads, -1),
                )
            ).to(self.dtype)
        qkv, gate_up = fuse(q.weight, k.weight, v.weight), fuse(mlp.gate_proj.weight, mlp.up_proj.weight)
        assert qkv is not None and gate_up is not None
        return _Layer(
            qkv=qkv,
            qkv_bias=fuse(q.bias, k.bias, v.bias),
            qk_norm=qk_norm,
            out=attention.o_proj.weight.detach().to(self.dtype),
            out_bias=fuse(attention.o_proj.bias),
            gate_up=gate_up,
            down=mlp.down_proj.weight.detach().to(self.dtype),
            norm_in=block.input_layernorm.weight.detach().to(self.dtype),
            norm_mlp=block.post_attention_layernorm.weight.detach().to(self.dtype),
            activation=mlp.act_fn,
        )

    def new_cache(self, rows: int, columns: int) -> Tensor:
        """Room for keys and values: [layers, 2, rows, kv heads, columns, head dim], not initialised."""
        shape = (len(self.layers), 2, rows, self.kv_heads, columns, self.head_dim)
        return torch.empty(shape, dtype=self.dtype, device=self.device)

    def cache_bytes_per_row(self, columns: int) -> int:
        """Bytes of cache that one row of `columns` tokens takes."""
        return len(self.layers) * 2 * self.kv_heads * columns * self.head_dim * self.dtype.itemsize

    def forward(self, ids: Tensor, positions: Tensor, cache: Tensor, start: int, mask: Tensor | None) -> Tensor:
        """Logits after the last of the given tokens, [rows, vocabulary].

        Parameters
        ----------
        ids, positions
            [rows, tokens]: new tokens and their rotary positions.
        cache
            As from `new_cache`, cut to these rows; columns before `start` are read, the new tokens'
            keys and values are written to the columns from `start`.
        mask
            Added to the attention scores, broadcastable to [rows, 1, tokens, start + tokens]; None when
            every token sees every column (only right for one new token).
        """
        rows, tokens = ids.shape
        end = start + tokens
        x = functional.embedding(ids, self.embedding)
        cos, sin = self.cos[positions][:, :, None], self.sin[positions][:, :, None]
        for layer, store in zip(self.layers, cache, strict=True):
            h = functional.rms_norm(x, (x.size(-1),), layer.norm_in, self.eps)
            qkv = functional.linear(h, layer.qkv, layer.qkv_bias).view(rows, tokens, -1, self.head_dim)
            qk, v = torch.split(qkv, [self.heads + self.kv_heads, self.kv_heads], dim=2)
            if layer.qk_norm is not None:
                qk = functional.rms_norm(qk, (self.head_dim,), None, self.eps) * layer.qk_norm
            first, second = qk.chunk(2, dim=-1)
            qk = qk * cos + torch.cat((second, first), -1) * sin
            q, k = torch.split(qk, [self.heads, self.kv_heads], dim=2)
            store[0, :, :, start:end] = k.transpose(1, 2)
            store[1, :, :, start:end] = v.transpose(1, 2)
            attended = self._attend(q, store[0, :, :, :end], store[1, :, :, :end], mask)
            x = x + functional.linear(attended.reshape(rows, tokens, -1), layer.out, layer.out_bias)
            h = functional.rms_norm(x, (x.size(-1),), layer.norm_mlp, self.eps)
            gate, up = functional.linear(h, layer.gate_up).chunk(2, dim=-1)
            x = x + functional.linear(layer.activation(gate) * up, layer.down)
        last = functional.rms_norm(x[:, -1], (x.size(-1),), self.norm, self.eps)
        return functional.linear(last, self.head)

    def _attend(self, q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Attention of q [rows, tokens, heads, head dim] to [rows, kv heads, columns, head dim]."""
        rows, tokens = q.shape[:2]
        if tokens == 1:
            # The query heads that share a key head stand where query positions would: nothing is repeated.
            grouped = q.reshape(rows, self.kv_heads, -1, self.head_dim)
            return functional.scaled_dot_product_attention(
                grouped, keys, values, attn_mask=mask, scale=self.scaling
            ).reshape(rows, 1, self.heads, self.head_dim)
        return functional.scaled_dot_product_attention(
            q.transpose(1, 2), keys, values, attn_mask=mask, scale=self.scaling, enable_gqa=True
        ).transpose(1, 2)
