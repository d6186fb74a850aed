"""Public helpers of the GPU exam: what has to run where the model is. With the model on a CPU all of it works as well."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from grader.checks.lecture1.imagegpt.helpers import new_cache, submission_of
from grader.sandbox.wire.families import helper


@helper
def to_device(model: nn.Module, device: str) -> None:
    """Move a model to the device."""
    model.to(device)


@helper
def device_generator(seed: int, device: str) -> torch.Generator:
    """A generator on the device."""
    return torch.Generator(device).manual_seed(seed)


@helper
def device_logits(model: nn.Module, x: Tensor, mode: str) -> tuple[Tensor, str]:
    """Logits computed on the device in a mode of `precision`, brought back in float64, and the device they were on."""
    device = _device_of(model)
    with torch.no_grad(), precision(mode, device):
        logits = model(x.to(device))
    return logits.double().cpu(), logits.device.type


@helper
def device_samples(
    model: nn.Module, n: int, m: int, generator: torch.Generator, use_cache: bool
) -> tuple[Tensor, str, bool]:
    """Samples drawn on the device, the device they were on, and whether a global random state moved."""
    device = _device_of(model)
    before = _random_states(device)
    x = submission_of(model)["sample"](model, n, m, generator, use_cache=use_cache)
    moved = any(not torch.equal(one, other) for one, other in zip(before, _random_states(device), strict=True))
    return x.cpu(), x.device.type, moved


@helper
def seconds_of_completion(model: nn.Module, n: int, m: int, new: int, use_cache: bool) -> float:
    """Median time of drawing the last new - 1 of m pixels, however long it takes to feed those before."""
    device = _device_of(model)
    prefix = torch.randint(model.config.K, (n, m - new), device=device)  # type: ignore[union-attr,arg-type]
    generator = torch.Generator(device).manual_seed(0)
    sample = submission_of(model)["sample"]

    def seconds_until(stop: int) -> float:
        return _median_seconds(lambda: sample(model, n, stop, generator, prefix=prefix, use_cache=use_cache), device)

    return seconds_until(m) - seconds_until(m - new + 1)


@helper
def bytes_of_sampling(model: nn.Module, n: int, m: int) -> tuple[int, int]:
    """The largest tensor that sampling with a cache makes besides it, and (on a GPU) the peak of memory, both in bytes."""
    device = _device_of(model)
    generator = torch.Generator(device).manual_seed(0)
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    base = torch.cuda.memory_allocated() if cuda else 0
    with _Largest() as largest:
        submission_of(model)["sample"](model, n, m, generator)
    return largest.bytes, torch.cuda.max_memory_allocated() - base if cuda else 0


@helper
def host_reads_of_decoding(model: nn.Module, config: Any, n: int, steps: int) -> int:
    """How often `decode` with a cache waits for a value from the device in so many steps of one position each."""
    cache = new_cache(model, config, n)
    device = _device_of(model)
    h = torch.randn(n, 1, config.dim, device=device, dtype=next(model.parameters()).dtype)
    decode: Callable[..., Tensor] = model.decode  # type: ignore[assignment]
    with torch.no_grad():
        decode(h, cache)  # the first call may set things up
        with _HostReads() as reads, _synchronisation_refused(device):
            for _ in range(steps):
                decode(h, cache)
    return reads.count


@helper
def train_on_device(model: nn.Module, x: Tensor, steps: int, batch: int, lr: float) -> list[float]:
    """The losses of `train_step` on random batches of x, on the device."""
    images = x.to(_device_of(model))
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 50, (steps - step) / steps * 2)
    )
    losses = []
    for _ in range(steps):
        rows = torch.randint(len(images), (batch,), generator=generator)
        losses.append(submission_of(model)["train_step"](model, optimizer, images[rows.to(images.device)]))
        schedule.step()
    return losses


@contextlib.contextmanager
def precision(mode: str, device: torch.device) -> Iterator[None]:
    """ "highest": float32 without TF32; "bfloat16": autocast."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    autocast = torch.autocast(device.type, dtype=torch.bfloat16)
    try:
        with autocast if mode == "bfloat16" else contextlib.nullcontext():
            yield
    finally:
        torch.set_float32_matmul_precision(before)


class _Largest(TorchDispatchMode):
    """The size of the largest tensor that an operation computes; fresh buffers and views are not computed."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if "empty" not in str(func) and "zeros" not in str(func):
            given = {x.untyped_storage().data_ptr() for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
            for x in tree_leaves(result):
                if isinstance(x, Tensor) and x.untyped_storage().data_ptr() not in given:
                    self.bytes = max(self.bytes, x.numel() * x.element_size())
        return result


class _HostReads(TorchDispatchMode):
    """Counts `.item()`, `if tensor:` and everything else that brings one value to Python."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def _synchronisation_refused(device: torch.device) -> Iterator[None]:
    if device.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _median_seconds(run: Callable[[], Any], device: torch.device) -> float:
    clock = _clock_of_the_gpu if device.type == "cuda" else time.process_time
    run()  # a warm-up
    seconds = []
    for _ in range(3):
        start = clock()
        run()
        seconds.append(clock() - start)
    return statistics.median(seconds)


def _clock_of_the_gpu() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def _device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _random_states(device: torch.device) -> list[Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if device.type == "cuda" else [])]
