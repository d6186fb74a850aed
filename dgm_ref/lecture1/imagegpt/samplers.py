"""The right sampler, with its steps open to replacement: what the mistakes about sampling share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

Pick = Callable[..., Tensor]  # (logits (n, K), generator, temperature, top_k) -> (n,)
LogitsAt = Callable[..., Tensor]  # (model, x, j, cache) -> (n, K)


def ancestral(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True, *, logits_at: LogitsAt | None = None,
    pick: Pick | None = None,
) -> Tensor:  # fmt: skip
    """The right sampler, with its two steps open to replacement."""
    check(m, temperature, top_k, prefix)
    x, start = buffer(model, n, m, prefix)
    cache = new_cache(model, n) if use_cache else None
    with evaluating(model):
        for j in range(start, m):
            x[:, j] = (pick or draw)((logits_at or newest)(model, x, j, cache), generator, temperature, top_k)
    return x


def check(m: int, temperature: float, top_k: int | None, prefix: Tensor | None) -> None:
    if temperature <= 0:
        raise ValueError("temperature")
    if top_k is not None and top_k < 1:
        raise ValueError("top_k")
    if prefix is not None and prefix.shape[1] > m:
        raise ValueError("prefix")


def buffer(model: Any, n: int, m: int, prefix: Tensor | None) -> tuple[Tensor, int]:
    x = torch.zeros(n, m, dtype=torch.int64, device=model.sos.device)
    if prefix is None:
        return x, 0
    x[:, : prefix.shape[1]] = prefix
    return x, prefix.shape[1]


def new_cache(model: Any, n: int) -> Any:
    return type(model).__init__.__globals__["KVCache"](model.config, n, model.sos.device, model.sos.dtype)


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    training = model.training
    model.eval()
    with torch.no_grad():
        yield
    model.train(training)


def newest(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    if cache is None:
        return model(x[:, : j + 1])[:, -1]
    return model.decode(embed(model, x, len(cache), j + 1), cache)[:, -1]


def embed(model: Any, x: Tensor, start: int, stop: int) -> Tensor:
    before = torch.cat([model.sos.expand(len(x), 1, -1), model.wte(x)], dim=1)
    return before[:, start:stop] + model.wpe.weight[start:stop]


def draw(logits: Tensor, generator: torch.Generator | None, temperature: float, top_k: int | None) -> Tensor:
    logits = truncate(logits, top_k)
    return multinomial(((logits - logits.amax(-1, keepdim=True)) / temperature).softmax(-1), generator)


def truncate(logits: Tensor, top_k: int | None) -> Tensor:
    if top_k is None:
        return logits
    kept = logits.topk(min(top_k, logits.shape[1]), dim=1)
    return torch.full_like(logits, -math.inf).scatter(1, kept.indices, kept.values)


def multinomial(p: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.multinomial(p, 1, generator=generator)[:, 0]


def sampler_with_pick(pick: Pick) -> Callable[..., Tensor]:
    """The right sampler with another way to pick a value from logits."""
    return _named(functools.partial(ancestral, pick=pick), pick)


def sampler_with_logits(logits_at: LogitsAt) -> Callable[..., Tensor]:
    """The right sampler with another way to get the logits of a pixel."""
    return _named(functools.partial(ancestral, logits_at=logits_at), logits_at)


def sampler_of_batches(images: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The right sampler for images without a prefix, of which `images(draw_, n)` makes a batch of n."""

    def sampler(model: Any, n: int, m: int, generator: torch.Generator, *rest: Any, **how: Any) -> Tensor:
        if how.get("prefix") is not None:
            return ancestral(model, n, m, generator, *rest, **how)
        return images(lambda few: ancestral(model, few, m, generator, *rest, **how), n)

    return _named(sampler, images)


def _named(sampler: Callable[..., Tensor], like: Callable[..., Any]) -> Callable[..., Tensor]:
    """The sampler under another function's name, but with its own arguments: by these goes what a mistake says `when`."""
    functools.update_wrapper(sampler, like)
    del sampler.__wrapped__  # type: ignore[attr-defined]
    return sampler
