"""Public helpers of ImageGPT's checks: what has to run where the student's model lives.

A helper finds the student's own functions through a class that every submission is given (`Block`, `ImageGPT`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from grader.sandbox.wire.families import helper


@helper
def built(name: str, config: Any, weights: dict[str, Tensor]) -> nn.Module:
    """A module of the student's class of that name, with these weights and their dtype."""
    with _cheap_construction(next(iter(weights.values())).dtype):
        module: nn.Module = type(config).__post_init__.__globals__[name](config)
    set_weights(module, weights)
    return module


@helper
def probed(config: Any, weights: dict[str, Tensor]) -> nn.Module:
    """The student's `ImageGPT` with a `Probe` in the place of every block: what is around the blocks is asked alone."""
    with _cheap_construction(next(iter(weights.values())).dtype):
        model: nn.Module = type(config).__post_init__.__globals__["ImageGPT"](config)
        model.blocks = nn.ModuleList(Probe(config) for _ in range(config.num_layers))
    set_weights(model, weights)
    return model


class Probe(nn.Module):
    """Stands for a block: adds to each position the mean of tanh(h) up to it, times a gain. It notes what it is used for."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.gain = nn.Parameter(torch.empty(config.dim))
        self.positions = 0  # that went through it
        self.in_training_mode = False  # at any of its calls

    def forward(self, h: Tensor, layer: int, cache: Any = None) -> Tensor:
        self.positions += h.shape[0] * h.shape[1]
        self.in_training_mode |= self.training
        said = h.tanh().unflatten(2, (self.num_heads, -1)).movedim(1, 2)  # (n, h, t, e), as a cache keeps it
        if cache is not None:
            said, _ = cache.append(layer, said, said)  # (n, h, s, e)
        count = torch.arange(1, said.shape[2] + 1, device=h.device)[:, None]
        mean = (said.cumsum(dim=2) / count)[:, :, -h.shape[1] :]
        return h + self.gain * mean.movedim(1, 2).flatten(2)


@helper
def positions_computed(model: nn.Module) -> list[int]:
    """How many positions each probe has computed."""
    return [probe.positions for probe in model.blocks]  # type: ignore[union-attr]


@helper
def in_training_mode(model: nn.Module) -> bool:
    """Whether a probe has ever computed in training mode."""
    return any(probe.in_training_mode for probe in model.blocks)  # type: ignore[union-attr]


@helper
def set_weights(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Give a module weights of its own dtype."""
    own = dict(module.named_parameters())
    if {name: p.shape for name, p in own.items()} != {name: w.shape for name, w in weights.items()}:
        module.load_state_dict(weights)  # says what does not fit
    with torch.no_grad():
        for name, p in own.items():
            p.copy_(weights[name])


@helper
def weights_of(module: nn.Module, names: list[str]) -> list[Tensor]:
    """The module's weights of these names."""
    state = module.state_dict()
    return [state[name].clone() for name in names]


@helper
def new_cache(module: nn.Module, config: Any, n: int) -> Any:
    """An empty `KVCache` for n sequences, on the module's device and in its dtype."""
    parameter = next(module.parameters())
    return submission_of(module)["KVCache"](config, n, parameter.device, parameter.dtype)


@helper
def cache_lengths(cache: Any) -> list[int]:
    """How many positions each layer has stored, and how many all have."""
    return [*cache.lengths, len(cache)]


@helper
def sgd(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """Plain gradient descent on all parameters, matrices and vectors in groups of their own, as for weight decay."""
    groups = [{"params": [p for p in model.parameters() if (p.dim() > 1) is matrix]} for matrix in (True, False)]
    return torch.optim.SGD(groups, lr=lr)


@helper
def adam(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """Adam with the moments of the ImageGPT paper."""
    return torch.optim.Adam(model.parameters(), lr=lr, betas=(0.9, 0.95))


@helper
def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """The step size of the steps to come."""
    for group in optimizer.param_groups:
        group["lr"] = lr


@helper
def set_gradients(model: nn.Module, value: float) -> None:
    """Leave gradients from before in every parameter."""
    for p in model.parameters():
        p.grad = torch.full_like(p, value)


@helper
def set_mode(model: nn.Module, training: bool) -> None:
    """Training mode or eval mode for all of a model."""
    model.train(training)


@helper
def get_mode(model: nn.Module) -> bool:
    """`model.training`."""
    return model.training


@helper
def elsewhere(module: nn.Module, name: str, *args: Any) -> str | None:
    """Take `module` to another device and run a function of the submission, or a method of `module`, there.

    What is wrong, in words; "" if nothing is; None if that cannot be seen. The module stays there.

    The device is torch's "meta", which knows shapes only. An operation that mixes it with the CPU is refused as a GPU
    would refuse it. A function that reads values cannot run there; that is slow on a GPU but not wrong, and passes.
    """
    module.to("meta")
    function = submission_of(module)[name] if name in submission_of(module) else getattr(module, name)
    given = [_on_meta(arg) for arg in args]
    device = StrictDevice()
    try:
        with device, _MetaDraws():
            value = function(*given)
    except MixedDevices as error:
        return str(error)
    except Exception as error:
        if device.values_read or "item() cannot be called on meta" in str(error):
            return ""
        try:  # not every function can be watched (flex_attention, subclasses of Tensor): then without the watch
            with _MetaDraws():
                value = function(*given)
        except Exception:
            return None
    strays = {x.device.type for x in tree_leaves(value) if isinstance(x, Tensor)} - {"meta"}
    return f"the result lies on the device {strays.pop()}" if strays else ""


class MixedDevices(Exception):
    """An operation met tensors of two devices."""


class StrictDevice(TorchDispatchMode):
    """Refuses operations that mix devices, as CUDA does, which only copies and numbers without axes may do."""

    def __init__(self) -> None:
        super().__init__()
        self.values_read = False  # tensors were copied from meta to the CPU; what stands there now is made up

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default and args[0].is_meta and str(kwargs.get("device")) == "cpu":
            self.values_read = True
            return torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        if func is torch.ops.aten.copy_.default and args[1].is_meta and not args[0].is_meta:
            self.values_read = True
            return args[0]
        devices = {x.device.type for x in _tensors_in([*args, *kwargs.values()]) if x.dim() > 0}
        if len(devices) > 1 and func is not torch.ops.aten.copy_.default:
            raise MixedDevices(f"{func.overloadpacket.__name__} meets tensors on two devices")
        return func(*args, **kwargs)


class _MetaGenerator(torch.Generator):
    """A generator that says it lives on the meta device, which has none."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("meta")


class _MetaDraws(TorchFunctionMode):
    """Lets draws go through on the meta device: they need no generator, as there are no values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if isinstance(kwargs.get("generator"), _MetaGenerator):
            del kwargs["generator"]
        return func(*args, **kwargs)


def _tensors_in(arguments: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among an operation's arguments, which stand alone or in lists."""
    for x in arguments:
        if isinstance(x, Tensor):
            yield x
        elif isinstance(x, list | tuple):
            yield from _tensors_in(x)


def _on_meta(arg: Any) -> Any:
    if isinstance(arg, torch.Generator):
        return _MetaGenerator()
    return arg.to("meta") if isinstance(arg, Tensor) else arg


@contextlib.contextmanager
def _cheap_construction(dtype: torch.dtype) -> Iterator[None]:
    """Modules are made in this dtype and without initial weights: they get others at once."""
    initialisers = {name: function for name, function in vars(nn.init).items() if name.endswith("_") and name[0] != "_"}
    before = torch.get_default_dtype()
    try:
        vars(nn.init).update(dict.fromkeys(initialisers, lambda tensor, *_, **__: tensor))
        torch.set_default_dtype(dtype)
        yield
    finally:
        torch.set_default_dtype(before)
        vars(nn.init).update(initialisers)


def submission_of(module: nn.Module) -> dict[str, Any]:
    """The names of the student's module, found from the given class's `__init__`."""
    return type(module).__init__.__globals__
