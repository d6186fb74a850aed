"""Public helpers of the GPU exam: what has to run where the model is. With the model on a CPU all of it works as well."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from grader.checks.lecture1.imagegpt.helpers import submission_of
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
def device_samples(model: nn.Module, n: int, m: int, generator: torch.Generator, use_cache: bool) -> tuple[Tensor, str]:
    """Samples drawn on the device, and the device they were on."""
    x = submission_of(model)["sample"](model, n, m, generator, use_cache=use_cache)
    return x.cpu(), x.device.type


@helper
def seconds_of_completion(model: nn.Module, n: int, m: int, new: int, use_cache: bool) -> float:
    """Time of drawing the last new - 1 of m pixels, however long it takes to feed those before."""
    device = _device_of(model)
    prefix = torch.randint(model.config.K, (n, m - new), device=device)  # type: ignore[union-attr,arg-type]
    generator = torch.Generator(device).manual_seed(0)
    sample = submission_of(model)["sample"]

    def seconds_until(stop: int) -> float:
        return _fewest_seconds(lambda: sample(model, n, stop, generator, prefix=prefix, use_cache=use_cache), device)

    return seconds_until(m) - seconds_until(m - new + 1)


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


def _fewest_seconds(run: Callable[[], Any], device: torch.device) -> float:
    clock = _clock_of_the_gpu if device.type == "cuda" else time.process_time
    run()  # a warm-up
    seconds = []
    for _ in range(5):
        start = clock()
        run()
        seconds.append(clock() - start)
    return min(seconds)  # whatever else the machine does only adds


def _clock_of_the_gpu() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def _device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
