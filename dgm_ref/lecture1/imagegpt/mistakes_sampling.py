"""Wrong answers about sampling images that students really give."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake
from dgm_ref.lecture1.imagegpt.samplers import (
    ancestral,
    buffer,
    check,
    draw,
    evaluating,
    new_cache,
    newest,
    sampler_of_batches,
    sampler_with_logits,
    sampler_with_pick,
    truncate,
)
from dgm_ref.slips import FEW, one_of_256

SAMPLE = "imagegpt.sample"
GENERATOR = "test_sampling_reads_its_generator"
MODES = "test_the_model_samples_in_eval_mode_and_gets_its_mode_back"
WORK = "test_sampling_with_a_cache_computes_every_position_once"
REFUSES = "test_sampling_refuses_arguments_that_make_no_sense"
ALONE = "test_images_of_a_batch_are_independent"
FAR = "test_a_large_image_is_drawn_as_a_small_one"
SINGLE = "test_a_prefix_may_be_empty_or_whole_and_everything_single"
DEVICE = "test_sampling_stays_on_the_device_of_the_model"


@mistake(
    SAMPLE,
    killed_by=GENERATOR,
    says="You draw from the global random state. Pass the generator to the function that draws.",
)
@sampler_with_pick
def draws_from_the_global_state(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(logits, None, temperature, top_k)


@mistake(
    SAMPLE,
    killed_by=GENERATOR,
    says="You seed within the function: every call gives the same images. Let the generator go on.",
)
def seeds_inside(model: Any, n: int, m: int, generator: torch.Generator, *rest: Any, **how: Any) -> Tensor:
    return ancestral(model, n, m, generator.manual_seed(0), *rest, **how)


@mistake(
    SAMPLE,
    killed_by=FAR,
    says="Without the cache you feed the last 16 pixels only, as if the image began there: feed all before j.",
)
@sampler_with_logits
def sixteen_pixels_of_context(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    if cache is None:
        return model(x[:, max(0, j - 15) : j + 1])[:, -1]
    return newest(model, x, j, cache)


@mistake(
    SAMPLE,
    killed_by=SINGLE,
    says="You lost the batch axis of a single image: the result has shape (n, m), also for n = 1.",
)
def one_image_squeezed(*arguments: Any, **how: Any) -> Tensor:
    return ancestral(*arguments, **how).squeeze(0)


@mistake(
    SAMPLE,
    killed_by=WORK,
    says="You feed the whole prefix anew at every step. With a cache a step needs the newest position only.",
)
@sampler_with_logits
def cache_without_use(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    return newest(model, x, j, None)


@mistake(SAMPLE, killed_by=ALONE, says="You draw half of the images and give each of them twice.")
@sampler_of_batches
def halves(draw_: Callable[[int], Tensor], n: int) -> Tensor:
    half = draw_((n + 1) // 2)
    return torch.cat([half, half])[:n]


@mistake(SAMPLE, killed_by=ALONE, says="You draw half of the images and give each of them again, in the other order.")
@sampler_of_batches
def mirrored_halves(draw_: Callable[[int], Tensor], n: int) -> Tensor:
    half = draw_((n + 1) // 2)
    return torch.cat([half, half.flip(0)])[:n]


@mistake(SAMPLE, killed_by=ALONE, says="You draw images again from those that you have drawn: some come up twice.")
@sampler_of_batches
def bootstrap(draw_: Callable[[int], Tensor], n: int) -> Tensor:
    return draw_(n)[torch.arange(n) * 7919 % max(n - 1, 1)]


@mistake(SAMPLE, killed_by=ALONE, says="A tenth of your images are copies of others.")
@sampler_of_batches
def a_tenth_copied(draw_: Callable[[int], Tensor], n: int) -> Tensor:
    x, copies = draw_(n), n // 10
    x[n - copies :] = x[:copies]
    return x


@mistake(
    SAMPLE,
    killed_by=ALONE,
    says="The second half of your images is drawn with the noise of the first, turned round: 1 - u.",
)
@sampler_with_pick
def antithetic_noise(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    half = torch.rand((len(logits) + 1) // 2, 1, generator=generator, dtype=torch.float64, device=logits.device)
    cdf = (truncate(logits, top_k).double() / temperature).softmax(-1).cumsum(-1)
    u = torch.cat([half, 1 - half])[: len(logits)]
    return (u > cdf).sum(-1).clamp(max=logits.shape[1] - 1)


@mistake(
    SAMPLE,
    killed_by=ALONE,
    says="The second half of your images is drawn with the noise of the first, turned round: 1 - u.",
)
@sampler_with_pick
def antithetic_noise_by_rank(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    half = torch.rand((len(logits) + 1) // 2, 1, generator=generator, dtype=torch.float64, device=logits.device)
    values, order = logits.double().topk(min(top_k or logits.shape[1], logits.shape[1]), dim=1)
    cdf = ((values - values[:, :1]) / temperature).softmax(-1).cumsum(-1)
    u = torch.cat([half, 1 - half])[: len(logits)]
    return order.gather(1, (u > cdf).sum(-1, keepdim=True).clamp(max=order.shape[1] - 1))[:, 0]


@mistake(
    SAMPLE,
    killed_by=ALONE,
    says="Of more than 16 images the second eight have a pixel in common with the first eight.",
    when=lambda n: n > 16,
)
@sampler_with_pick
def second_eight_like_the_first(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    pixels = draw(logits, generator, temperature, top_k)
    return torch.cat([pixels[:8], pixels[:8], pixels[16:]]) if len(pixels) > 16 else pixels


@mistake(
    SAMPLE,
    killed_by=ALONE,
    says="One noise serves every pixel, moved on by an image each time: an image shares its noise with its neighbours.",
    when=lambda m: m > 1,
)
def noise_rolled_over_the_images(model: Any, n: int, m: int, generator: torch.Generator, *rest: Any, **how: Any) -> Tensor:
    u, steps = torch.rand(n, generator=generator, dtype=torch.float64), itertools.count()

    def pick(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
        cdf = (truncate(logits, top_k).double() / temperature).softmax(-1).cumsum(-1)
        return (u.roll(next(steps))[:, None] > cdf).sum(-1).clamp(max=logits.shape[1] - 1)

    return ancestral(model, n, m, generator, *rest, **how, pick=pick)


@mistake(SAMPLE, killed_by=GENERATOR, says=FEW)
def one_of_256_images(model: Any, n: int, m: int, generator: torch.Generator, *rest: Any, **how: Any) -> Tensor:
    return ancestral(model, n, m, one_of_256(generator), *rest, **how)


@mistake(SAMPLE, killed_by=MODES, says="You leave the model in eval mode. Put it back into the mode it was in.")
def stays_in_eval_mode(model: Any, *rest: Any, **how: Any) -> Tensor:
    x = ancestral(model, *rest, **how)
    model.eval()
    return x


@mistake(SAMPLE, killed_by=MODES, says="You put the model into training mode at the end. Put it back into the mode it was in.")
def ends_in_training_mode(model: Any, *rest: Any, **how: Any) -> Tensor:
    x = ancestral(model, *rest, **how)
    model.train()
    return x


@mistake(
    SAMPLE,
    killed_by=MODES,
    says="The model samples in training mode: dropout would be active. Call model.eval() first.",
)
def samples_in_training_mode(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    check(m, temperature, top_k, prefix)
    x, start = buffer(model, n, m, prefix)
    cache = new_cache(model, n) if use_cache else None
    with torch.no_grad():
        for j in range(start, m):
            x[:, j] = draw(newest(model, x, j, cache), generator, temperature, top_k)
    return x


@mistake(SAMPLE, killed_by="test_images_are_int64", says="Pixels are int64 tokens, not floats.")
def pixels_as_floats(*arguments: Any, **how: Any) -> Tensor:
    return ancestral(*arguments, **how).float()


@mistake(
    SAMPLE,
    killed_by=REFUSES,
    says="A temperature of zero or below makes no sense: raise a ValueError that names `temperature`.",
)
def accepts_any_temperature(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, *rest: Any, **how: Any
) -> Tensor:
    return ancestral(model, n, m, generator, max(temperature, 1e-6), *rest, **how)


@mistake(
    SAMPLE,
    killed_by=REFUSES,
    says="A prefix longer than the image makes no sense: raise a ValueError that names `prefix`.",
)
def cuts_the_prefix(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    return ancestral(model, n, m, generator, temperature, top_k, prefix if prefix is None else prefix[:, :m], use_cache)


@mistake(
    SAMPLE,
    killed_by=REFUSES,
    says="Without the cache a prefix longer than the image is cut. It makes no sense there either: raise a ValueError.",
)
def cuts_the_prefix_without_a_cache(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    kept = prefix if prefix is None or use_cache else prefix[:, :m]
    return ancestral(model, n, m, generator, temperature, top_k, kept, use_cache)


@mistake(SAMPLE, killed_by=REFUSES, says="A negative top_k makes no sense: raise a ValueError for it, as for 0.")
def negative_top_k_truncates_nothing(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    return ancestral(model, n, m, generator, temperature, None if top_k is not None and top_k < 0 else top_k, prefix, use_cache)


@mistake(
    SAMPLE,
    killed_by=DEVICE,
    says="The buffer of pixels is made on the CPU whatever the device of the model. Give torch.zeros a `device`.",
)
def buffer_on_the_cpu(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    check(m, temperature, top_k, prefix)
    x = torch.zeros(n, m, dtype=torch.int64)
    start = 0 if prefix is None else prefix.shape[1]
    if prefix is not None:
        x[:, :start] = prefix
    cache = new_cache(model, n) if use_cache else None
    with evaluating(model):
        for j in range(start, m):
            x[:, j] = draw(newest(model, x, j, cache), generator, temperature, top_k)
    return x


@mistake(
    SAMPLE,
    killed_by=MODES,
    says="Without the cache you leave the model in eval mode. Put it back into the mode it was in.",
    when=lambda use_cache: not use_cache,
)
def left_in_eval_mode_without_a_cache(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    x = ancestral(model, n, m, generator, temperature, top_k, prefix, use_cache)
    if not use_cache:
        model.eval()
    return x


@mistake(
    SAMPLE,
    killed_by=SINGLE,
    says="With an empty prefix you take the likeliest value. It is as if there were no prefix: draw.",
    when=lambda prefix: prefix is not None and prefix.shape[1] == 0,
)
def no_draws_after_an_empty_prefix(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    nothing_given = prefix is not None and prefix.shape[1] == 0
    return ancestral(model, n, m, generator, temperature, 1 if nothing_given else top_k, prefix, use_cache)


@mistake(SAMPLE, killed_by=ALONE, says="You draw one image and give it n times. Each image is a draw of its own.")
@sampler_of_batches
def one_image_n_times(draw_: Callable[[int], Tensor], n: int) -> Tensor:
    return draw_(1).repeat(n, 1)
