"""Wrong answers that only a GPU shows, or that only a GPU makes expensive.

Those with `needs_gpu` do no harm on a CPU: `dgm dev check imagegpt.gpu --device cuda` puts them to the checks.
Hard-coded devices that the checks without a GPU find as well (`StrictDevice`) stand with their own exercises; here they
show that a GPU finds them, too.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dgm_ref.catalogue import mistake, variant
from dgm_ref.lecture1.imagegpt.mistakes_attention import mask_on_the_cpu
from dgm_ref.lecture1.imagegpt.mistakes_law import feeds_the_prefix_position_by_position
from dgm_ref.lecture1.imagegpt.mistakes_logits import positions_on_the_cpu
from dgm_ref.lecture1.imagegpt.mistakes_sampling import buffer_on_the_cpu, draws_from_the_global_state
from dgm_ref.lecture1.imagegpt.samplers import ancestral, multinomial, sampler_with_pick, truncate

GPU = "imagegpt.gpu"
ATTENTION, DECODE, FORWARD = "imagegpt.causal_attention", "imagegpt.ImageGPT.decode", "imagegpt.ImageGPT.forward"
SAMPLE = "imagegpt.sample"

SINGLE = "test_logits_on_the_device_agree_in_single_precision"
AUTOCAST = "test_logits_on_the_device_agree_under_autocast"
LAW = "test_samples_on_the_device_follow_the_joint_law"
GENERATOR = "test_the_generator_of_the_device_decides_the_samples"
RACE = "test_the_cached_sampler_beats_the_uncached_one"


# -- numbers --


@mistake(
    GPU,
    replaces=DECODE,
    killed_by=SINGLE,
    says="You switch autocast on inside the model. The caller decides: a model in float32 computes in float32.",
)
def autocast_inside(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    with torch.autocast(h.device.type, dtype=torch.bfloat16):
        return _decode(self, h, cache).float()


@mistake(
    GPU,
    replaces=DECODE,
    killed_by=SINGLE,
    needs_gpu=True,
    says="You allow TF32, which keeps ten bits of every factor. Whether speed is worth that is the caller's choice.",
)
def tf32_for_speed(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    torch.set_float32_matmul_precision("high")
    return _decode(self, h, cache)


@mistake(
    GPU,
    replaces=ATTENTION,
    killed_by=SINGLE,
    needs_gpu=True,
    says="On a GPU you compute in half precision. Attention keeps the dtype of its inputs on every device.",
)
def half_precision_on_a_gpu(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    if q.is_cuda:
        return _attention(q.half(), k.half(), v.half()).to(q.dtype)
    return _attention(q, k, v)


@mistake(
    GPU,
    replaces=ATTENTION,
    killed_by=AUTOCAST,
    says="You mask with the least number of float32, which bfloat16 does not have: under autocast scores are bfloat16. "
    "Minus infinity exists in every dtype.",
    green_at_home="Only autocast shows it, on a device or in its small rehearsal.",
)
def masked_with_the_least_float32(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _attention(q, k, v, masked=torch.finfo(torch.float32).min)


# -- devices --


@mistake(
    GPU,
    replaces=SAMPLE,
    killed_by=LAW,
    needs_gpu=True,
    says="Your uniform numbers are drawn on the CPU, where a generator of the GPU cannot draw. Give torch.rand a `device`.",
)
@sampler_with_pick
def uniform_numbers_of_the_cpu(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    u = torch.rand(len(logits), 1, generator=generator)
    cdf = (truncate(logits, top_k) / temperature).softmax(-1).cumsum(-1)
    return torch.searchsorted(cdf, u * cdf[:, -1:], right=True)[:, 0].clamp(max=logits.shape[1] - 1)


@mistake(
    GPU,
    replaces=SAMPLE,
    killed_by=LAW,
    needs_gpu=True,
    says="Your images come back on the CPU. They stay where the model is; the caller fetches them when it wants them.",
)
def images_sent_to_the_cpu(*arguments: Any, **how: Any) -> Tensor:
    return ancestral(*arguments, **how).cpu()


for exercise, killed_by, function in (
    (ATTENTION, SINGLE, mask_on_the_cpu),
    (FORWARD, SINGLE, positions_on_the_cpu),
    (SAMPLE, LAW, buffer_on_the_cpu),
):
    mistake(
        GPU,
        replaces=exercise,
        killed_by=killed_by,
        needs_gpu=True,
        says="A tensor is made on the CPU whatever the device of the model. Give the function that makes it a `device`.",
    )(function)


# -- randomness --


@mistake(
    GPU,
    replaces=SAMPLE,
    killed_by=LAW,
    says="You make a generator of your own from the seed of the one you are given: each call draws the same images again.",
)
@sampler_with_pick
def draws_from_a_copy_of_the_generator(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    own = torch.Generator(logits.device).manual_seed(generator.initial_seed())
    return multinomial((truncate(logits, top_k) / temperature).softmax(-1), own)


mistake(
    GPU,
    replaces=SAMPLE,
    killed_by=GENERATOR,
    says="You draw from the global random state of the device. All randomness comes from the generator you are given.",
)(draws_from_the_global_state)


# -- cost --


@mistake(
    GPU,
    replaces=SAMPLE,
    killed_by=RACE,
    says="You draw without the cache even where it is wanted: every pixel computes the whole image before it anew.",
)
def never_keeps_a_cache(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    return ancestral(model, n, m, generator, temperature, top_k, prefix, use_cache=False)


# -- right answers --


variant(GPU, replaces=SAMPLE)(feeds_the_prefix_position_by_position)


# -- what they share: the parts that are right --


def _decode(model: Any, h: Tensor, cache: Any) -> Tensor:
    for layer, block in enumerate(model.blocks):
        h = block(h, layer, cache)
    return model.head(model.ln_f(h))


def _scores(q: Tensor, k: Tensor, masked: float) -> Tensor:
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
    t, s = scores.shape[2:]
    future = torch.ones(t, s, dtype=torch.bool, device=q.device).triu(s - t + 1)
    return scores.masked_fill(future, masked)


def _attention(q: Tensor, k: Tensor, v: Tensor, masked: float = -math.inf) -> Tensor:
    return F.softmax(_scores(q, k, masked), dim=-1).to(v.dtype) @ v
