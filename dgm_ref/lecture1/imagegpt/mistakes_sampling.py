"""Wrong answers about sampling images that students really give, and right ones that look different."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, variant

SAMPLE = "imagegpt.sample"
UNCACHED = "test_samples_without_a_cache_follow_the_joint_law"
CACHED = "test_samples_with_a_cache_follow_the_joint_law"
COMPLETES = "test_completions_follow_the_law_given_their_own_prefix"
LIKELIEST = "test_the_likeliest_values_are_those_of_the_model_after_every_prefix"
COLDER = "test_temperature_divides_the_logits"
TOP_K = "test_top_k_keeps_exactly_k_values"
ALL = "test_top_k_of_all_values_truncates_nothing"
GENERATOR = "test_sampling_reads_its_generator_and_leaves_no_trace"
MODES = "test_the_model_samples_in_eval_mode_and_gets_its_modes_back"
WORK = "test_sampling_with_a_cache_is_the_work_of_one_pass"
REFUSES = "test_sampling_refuses_arguments_that_make_no_sense"
DEVICE = "test_sampling_stays_on_the_device_of_the_model"

Pick = Callable[..., Tensor]  # (logits (n, K), generator, temperature, top_k) -> (n,)
LogitsAt = Callable[..., Tensor]  # (model, x, j, cache) -> (n, K)


# -- what they share: the parts that are right --


def ancestral(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True, *, logits_at: LogitsAt | None = None,
    pick: Pick | None = None,
) -> Tensor:  # fmt: skip
    """The right sampler, with its two steps open to replacement."""
    check(model, n, m, temperature, top_k, prefix)
    x, start = buffer(model, n, m, prefix)
    cache = new_cache(model, n) if use_cache else None
    with evaluating(model):
        for j in range(start, m):
            x[:, j] = (pick or draw)((logits_at or newest)(model, x, j, cache), generator, temperature, top_k)
    return x


def check(model: Any, n: int, m: int, temperature: float, top_k: int | None, prefix: Tensor | None) -> None:
    if n < 1:
        raise ValueError("n")
    if not 1 <= m <= model.config.m:
        raise ValueError("m")
    if temperature <= 0:
        raise ValueError("temperature")
    if top_k is not None and top_k < 1:
        raise ValueError("top_k")
    if prefix is not None and (len(prefix) != n or prefix.shape[1] > m):
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
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def newest(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    if cache is None:
        return model(x[:, : j + 1])[:, -1]
    return model.decode(embed(model, x, len(cache), j + 1), cache)[:, -1]


def embed(model: Any, x: Tensor, start: int, stop: int) -> Tensor:
    before = torch.cat([model.sos.expand(len(x), 1, -1), model.wte(x)], dim=1)
    return before[:, start:stop] + model.wpe.weight[start:stop]


def draw(logits: Tensor, generator: torch.Generator | None, temperature: float, top_k: int | None) -> Tensor:
    return multinomial((truncate(logits, top_k) / temperature).softmax(-1), generator)


def truncate(logits: Tensor, top_k: int | None) -> Tensor:
    if top_k is None:
        return logits
    kept = logits.topk(min(top_k, logits.shape[1]), dim=1)
    return torch.full_like(logits, -math.inf).scatter(1, kept.indices, kept.values)


def multinomial(p: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.multinomial(p, 1, generator=generator)[:, 0]


def picking(pick: Pick) -> Callable[..., Tensor]:
    """The right sampler with another way to pick a value from logits."""
    return functools.update_wrapper(functools.partial(ancestral, pick=pick), pick)


def looking(logits_at: LogitsAt) -> Callable[..., Tensor]:
    """The right sampler with another way to get the logits of a pixel."""
    return functools.update_wrapper(functools.partial(ancestral, logits_at=logits_at), logits_at)


# -- how a value is picked --


@mistake(
    SAMPLE, killed_by=UNCACHED, says="You take the likeliest value each time. Sampling draws it with its probability."
)
@picking
def takes_the_likeliest(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    multinomial(logits.softmax(-1), generator)
    return logits.argmax(-1)


@mistake(SAMPLE, killed_by=UNCACHED, says="You take the softmax of a softmax: the law becomes nearly uniform.")
@picking
def softmax_twice(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return multinomial((truncate(logits, top_k) / temperature).softmax(-1).softmax(-1), generator)


@mistake(
    SAMPLE,
    killed_by=COLDER,
    says="You multiply the logits by the temperature. A low temperature makes the law sharper: divide.",
)
@picking
def multiplies_by_the_temperature(
    logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None
) -> Tensor:
    return draw(logits, generator, 1 / temperature, top_k)


@mistake(SAMPLE, killed_by=COLDER, says="The temperature has no effect in your sampler.")
@picking
def ignores_the_temperature(
    logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None
) -> Tensor:
    return draw(logits, generator, 1.0, top_k)


@mistake(SAMPLE, killed_by=COLDER, says="You divide probabilities and not logits by the temperature.")
@picking
def temperature_of_probabilities(
    logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None
) -> Tensor:
    p = truncate(logits, top_k).softmax(-1)
    return (
        draw(logits, generator, 1.0, top_k)
        if temperature == 1
        else multinomial((p / temperature).softmax(-1), generator)
    )


@mistake(
    SAMPLE,
    killed_by=TOP_K,
    says="You keep every value that is as likely as the k-th one. top_k keeps exactly k values.",
)
@picking
def keeps_all_that_are_tied(
    logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None
) -> Tensor:
    if top_k is not None:
        threshold = logits.topk(min(top_k, logits.shape[1]), dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < threshold, -math.inf)
    return draw(logits, generator, temperature, None)


@mistake(SAMPLE, killed_by=TOP_K, says="You keep one value too many: k of them, not k + 1.")
@picking
def keeps_one_value_more(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(logits, generator, temperature, top_k and top_k + 1)


@mistake(
    SAMPLE,
    killed_by=TOP_K,
    says="You keep one value too few: values equal to the k-th likeliest belong to the k that are kept.",
)
@picking
def drops_the_kth_value(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(logits, generator, temperature, top_k and max(1, min(top_k, logits.shape[1]) - 1))


@mistake(
    SAMPLE,
    killed_by=TOP_K,
    says="You set the logits that are cut off to zero, and exp(0) = 1: they stay possible. Minus "
    "infinity excludes them.",
)
@picking
def fills_with_zero(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(truncate(logits, top_k).nan_to_num(neginf=0.0), generator, temperature, None)


@mistake(SAMPLE, killed_by=TOP_K, says="top_k has no effect in your sampler.")
@picking
def ignores_top_k(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(logits, generator, temperature, None)


@mistake(
    SAMPLE,
    killed_by=ALL,
    says="top_k larger than the number of values must truncate nothing: topk raises when asked for too many.",
)
@picking
def asks_for_too_many(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    if top_k is not None:
        logits.topk(top_k, dim=1)
    return draw(logits, generator, temperature, top_k)


@mistake(
    SAMPLE,
    killed_by=GENERATOR,
    says="You draw from the global random state. Pass the generator to the function that draws.",
)
@picking
def draws_from_the_global_state(
    logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None
) -> Tensor:
    return draw(logits, None, temperature, top_k)


@mistake(
    SAMPLE,
    killed_by=GENERATOR,
    says="You seed within the function: every call gives the same images. Let the generator go on.",
)
def seeds_inside(model: Any, n: int, m: int, generator: torch.Generator, *rest: Any, **how: Any) -> Tensor:
    return ancestral(model, n, m, generator.manual_seed(0), *rest, **how)


@mistake(SAMPLE, killed_by=UNCACHED, says="All images of a batch get the same noise. Their draws are independent.")
@picking
def one_noise_for_the_batch(
    logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None
) -> Tensor:
    cdf = (truncate(logits, top_k) / temperature).softmax(-1).cumsum(-1)
    u = torch.rand(1, 1, generator=generator, dtype=cdf.dtype, device=cdf.device)
    return (u > cdf).sum(-1).clamp(max=logits.shape[1] - 1)


# -- which logits are looked at --


@mistake(
    SAMPLE,
    killed_by=UNCACHED,
    says="All pixels are drawn without looking at each other. Each one needs the values drawn before it.",
)
@looking
def all_pixels_at_once(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    return newest(model, torch.zeros_like(x), j, cache)


@mistake(
    SAMPLE,
    killed_by=UNCACHED,
    says="You read the logits one position too early. logits[:, j] are those of x_j: forward makes the shift itself.",
)
@looking
def reads_the_logits_of_the_pixel_before(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    if cache is None:
        return model(x[:, : j + 1])[:, max(j - 1, 0)]
    return newest(model, x, max(j - 1, 0), None)


@mistake(
    SAMPLE,
    killed_by=CACHED,
    says="With the cache each step gets the vector of position 0. A step at pixel j carries the j-th row of wpe.",
)
@looking
def every_step_at_position_zero(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    if cache is None:
        return newest(model, x, j, None)
    first, h = len(cache), embed(model, x, len(cache), j + 1)
    if first > 0:
        h = h - model.wpe.weight[first : j + 1] + model.wpe.weight[:1]
    return model.decode(h, cache)[:, -1]


@mistake(
    SAMPLE,
    killed_by=LIKELIEST,
    says="With the cache a step is one position late: the value before pixel j carries the j-th row of "
    "wpe, not row j - 1.",
)
@looking
def cached_steps_one_position_late(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    if cache is None:
        return newest(model, x, j, None)
    first, h = len(cache), embed(model, x, len(cache), j + 1)
    if first > 0:
        h = h - model.wpe.weight[first : j + 1] + model.wpe.weight[first - 1 : j]
    return model.decode(h, cache)[:, -1]


@mistake(
    SAMPLE,
    killed_by=LIKELIEST,
    says="With the cache you never feed the start vector: the first position of the network is missing.",
)
@looking
def cache_without_the_start_vector(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    if cache is None or j == 0:
        return newest(model, x, j, None)
    return model.decode(embed(model, x, len(cache) + 1, j + 1), cache)[:, -1]


@mistake(
    SAMPLE,
    killed_by=LIKELIEST,
    says="With the cache the prefix never goes through the network: only the newest pixel does. Feed all of it first.",
)
@looking
def prefix_not_fed(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    if cache is None:
        return newest(model, x, j, None)
    return model.decode(embed(model, x, j, j + 1), cache)[:, -1]


@mistake(
    SAMPLE,
    killed_by=LIKELIEST,
    says="You read the first of the new positions after the prefix went in: the newest one is the last.",
)
@looking
def reads_the_first_new_position(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    if cache is None:
        return newest(model, x, j, None)
    return model.decode(embed(model, x, len(cache), j + 1), cache)[:, 0]


@mistake(
    SAMPLE,
    killed_by=WORK,
    says="You make a cache and feed the whole prefix anew at every step: a step needs the newest position only.",
)
@looking
def cache_without_use(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    return newest(model, x, j, None)


@mistake(
    SAMPLE,
    killed_by=CACHED,
    says="The whole prefix goes into the cache again at every step, so that positions stand there "
    "twice and it overflows.",
)
@looking
def feeds_the_prefix_again_and_again(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    return newest(model, x, j, None) if cache is None else model.decode(embed(model, x, 0, j + 1), cache)[:, -1]


# -- the prefix --


@mistake(
    SAMPLE, killed_by=COMPLETES, says="You draw the given pixels as well and overwrite them. A prefix is kept as given."
)
def overwrites_the_prefix(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    check(model, n, m, temperature, top_k, prefix)
    if prefix is not None and prefix.shape[1] == m:
        return prefix.clone()
    return ancestral(model, n, m, generator, temperature, top_k, None, use_cache)


@mistake(
    SAMPLE,
    killed_by=COMPLETES,
    says="You paste the prefix onto images drawn without it. What is drawn has to depend on the given pixels.",
)
def pastes_the_prefix_on(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    check(model, n, m, temperature, top_k, prefix)
    x = ancestral(model, n, m, generator, temperature, top_k, None, use_cache)
    if prefix is not None:
        x[:, : prefix.shape[1]] = prefix
    return x


@mistake(SAMPLE, killed_by=COMPLETES, says="Every image goes on from the first prefix. Each has its own.")
def one_prefix_for_all(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    check(model, n, m, temperature, top_k, prefix)
    if prefix is None:
        return ancestral(model, n, m, generator, temperature, top_k, None, use_cache)
    x = ancestral(model, n, m, generator, temperature, top_k, prefix[:1].expand(n, -1), use_cache)
    x[:, : prefix.shape[1]] = prefix
    return x


@mistake(SAMPLE, killed_by=LIKELIEST, says="The result lacks the prefix: it holds all m pixels, the given ones first.")
def returns_the_new_pixels_only(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    x = ancestral(model, n, m, generator, temperature, top_k, prefix, use_cache)
    return x if prefix is None else x[:, prefix.shape[1] :]


@mistake(SAMPLE, killed_by=UNCACHED, says="Your images always have config.m pixels. m says how many are drawn.")
def always_full_length(model: Any, n: int, m: int, *rest: Any, **how: Any) -> Tensor:
    check(model, n, m, 1.0, None, None)
    return ancestral(model, n, model.config.m, *rest, **how)


# -- modes, arguments, device --


@mistake(SAMPLE, killed_by=MODES, says="You leave the model in eval mode. Give every submodule its own mode back.")
def stays_in_eval_mode(model: Any, *rest: Any, **how: Any) -> Tensor:
    x = ancestral(model, *rest, **how)
    model.eval()
    return x


@mistake(
    SAMPLE,
    killed_by=MODES,
    says="model.train(mode) sets every submodule to the mode of the model. Some may have been in "
    "another one: remember each.",
)
def one_mode_for_all(model: Any, *rest: Any, **how: Any) -> Tensor:
    mode = model.training
    try:
        return ancestral(model, *rest, **how)
    finally:
        model.train(mode)


@mistake(
    SAMPLE,
    killed_by=MODES,
    says="After an exception in a layer the model stays in eval mode: give the modes back in a `finally`.",
)
def modes_lost_by_an_exception(model: Any, *rest: Any, **how: Any) -> Tensor:
    try:
        return ancestral(model, *rest, **how)
    except ArithmeticError:
        model.eval()
        raise


@mistake(
    SAMPLE,
    killed_by=MODES,
    says="The model samples in training mode: dropout would be active. Call model.eval() first.",
)
def samples_in_training_mode(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    check(model, n, m, temperature, top_k, prefix)
    x, start = buffer(model, n, m, prefix)
    cache = new_cache(model, n) if use_cache else None
    with torch.no_grad():
        for j in range(start, m):
            x[:, j] = draw(newest(model, x, j, cache), generator, temperature, top_k)
    return x


@mistake(
    SAMPLE,
    killed_by=GENERATOR,
    says="Sampling switches gradients off for good. Use `with torch.no_grad():`, which restores the mode.",
)
def switches_gradients_off(*arguments: Any, **how: Any) -> Tensor:
    x = ancestral(*arguments, **how)
    torch.set_grad_enabled(False)
    return x


@mistake(SAMPLE, killed_by=LIKELIEST, says="Pixels are int64 tokens, not floats.")
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
    killed_by=DEVICE,
    says="The buffer of pixels is made on the CPU whatever the device of the model. Give torch.zeros a `device`.",
)
def buffer_on_the_cpu(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    check(model, n, m, temperature, top_k, prefix)
    x = torch.zeros(n, m, dtype=torch.int64)
    start = 0 if prefix is None else prefix.shape[1]
    if prefix is not None:
        x[:, :start] = prefix
    cache = new_cache(model, n) if use_cache else None
    with evaluating(model):
        for j in range(start, m):
            x[:, j] = draw(newest(model, x, j, cache), generator, temperature, top_k)
    return x


# -- right answers --


@variant(SAMPLE)
@picking
def gumbel_max(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    u = torch.rand(logits.shape, generator=generator, dtype=torch.float64, device=generator.device)
    gumbel = -(-u.clamp(min=1e-300).log()).clamp(min=1e-300).log()
    return (truncate(logits, top_k).double() / temperature + gumbel).argmax(-1)


@variant(SAMPLE)
@picking
def inverse_cdf(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    cdf = (truncate(logits, top_k).double() / temperature).softmax(-1).cumsum(-1)
    u = torch.rand(len(logits), 1, generator=generator, dtype=torch.float64, device=generator.device)
    return torch.searchsorted(cdf, u * cdf[:, -1:], right=True)[:, 0].clamp(max=logits.shape[1] - 1)


@variant(SAMPLE)
def image_by_image(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    check(model, n, m, temperature, top_k, prefix)
    given = [None] * n if prefix is None else prefix.split(1)
    return torch.cat([ancestral(model, 1, m, generator, temperature, top_k, one, use_cache) for one in given])


@variant(SAMPLE)
@looking
def feeds_the_prefix_position_by_position(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    if cache is None:
        padded = torch.zeros(len(x), model.config.m, dtype=torch.int64, device=x.device)
        padded[:, :j] = x[:, :j]
        return model(padded)[:, j]  # the whole length: pixels not drawn yet are never looked at
    for i in range(len(cache), j + 1):
        logits = model.decode(embed(model, x, i, i + 1), cache)
    return logits[:, -1]
