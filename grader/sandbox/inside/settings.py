"""Global settings that one function may leave behind, put back before the next: nobody pays for another's."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import torch

Setting = tuple[Callable[[], Any], Callable[[Any], object]]

SETTINGS: tuple[Setting, ...] = (
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_default_dtype, torch.set_default_dtype),
    (lambda: getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None), lambda device: _set_default_device(device)),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (lambda: torch.backends.mkldnn.enabled, lambda on: setattr(torch.backends.mkldnn, "enabled", on)),
    (numpy.geterr, lambda how: numpy.seterr(**how)),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (lambda: list(warnings.filters), lambda filters: _set_warnings(filters)),
)


def read() -> list[Any]:
    """How things are set now."""
    return [get() for get, _ in SETTINGS]


@contextlib.contextmanager
def standard(values: list[Any]) -> Iterator[None]:
    """Run the block with these settings and gradient tracking on; afterwards things are set as before."""
    before = read()
    _change(before, values)
    torch.set_grad_enabled(True)
    try:
        yield
    finally:
        _change(read(), before)


def _change(now: list[Any], wanted: list[Any]) -> None:
    for (_, put), one, other in zip(SETTINGS, now, wanted, strict=True):
        if one != other:
            put(other)


def _set_default_device(context: Any) -> None:
    torch.set_default_device(None if context is None else context.device)


def _set_warnings(filters: list[Any]) -> None:
    warnings.resetwarnings()
    warnings.filters[:] = filters  # type: ignore[index]
