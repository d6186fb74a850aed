"""Wrong answers about the law of sampled images that students really give, and right ones that look different."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dgm_ref.catalogue import mistake, variant
from dgm_ref.lecture1.imagegpt.samplers import (
    ancestral,
    buffer,
    check,
    draw,
    embed,
    evaluating,
    multinomial,
    new_cache,
    newest,
    sampler_with_logits,
    sampler_with_pick,
    truncate,
)

SAMPLE = "imagegpt.sample"
UNCACHED = "test_samples_without_a_cache_follow_the_joint_law"
CACHED = "test_samples_with_a_cache_follow_the_joint_law"
COMPLETES = "test_completions_follow_the_law_given_their_own_prefix"
LIKELIEST = "test_the_likeliest_values_are_those_of_the_model_after_every_prefix"
COLDER = "test_temperature_divides_the_logits"
TOP_K = "test_top_k_keeps_exactly_k_values"
ALL = "test_top_k_of_all_values_truncates_nothing"
EXACT = "test_temperature_one_is_exact_sampling"


@mistake(SAMPLE, killed_by=UNCACHED, says="You take the likeliest value each time. Sampling draws it with its probability.")
@sampler_with_pick
def takes_the_likeliest(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    multinomial(logits.softmax(-1), generator)
    return logits.argmax(-1)


@mistake(SAMPLE, killed_by=UNCACHED, says="You take the softmax of a softmax: the law becomes nearly uniform.")
@sampler_with_pick
def softmax_twice(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return multinomial((truncate(logits, top_k) / temperature).softmax(-1).softmax(-1), generator)


@mistake(
    SAMPLE,
    killed_by=COLDER,
    says="You multiply the logits by the temperature. A low temperature makes the law sharper: divide.",
)
@sampler_with_pick
def multiplies_by_the_temperature(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(logits, generator, 1 / temperature, top_k)


@mistake(SAMPLE, killed_by=COLDER, says="The temperature has no effect in your sampler.")
@sampler_with_pick
def ignores_the_temperature(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(logits, generator, 1.0, top_k)


@mistake(
    SAMPLE,
    killed_by=COLDER,
    says="You take the likeliest value below some temperature. Logits may differ by less than that: divide by any temperature.",
    when=lambda temperature=1.0: temperature < 1e-3,
)
@sampler_with_pick
def greedy_when_cold(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return logits.argmax(-1) if temperature < 1e-3 else draw(logits, generator, temperature, top_k)


@mistake(
    SAMPLE,
    killed_by=COLDER,
    says="You clamp the temperature from below. Any that is positive is a temperature.",
    when=lambda temperature=1.0: temperature < 1e-4,
)
@sampler_with_pick
def temperature_clamped(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(logits, generator, max(temperature, 1e-4), top_k)


@mistake(SAMPLE, killed_by=COLDER, says="You divide probabilities and not logits by the temperature.")
@sampler_with_pick
def temperature_of_probabilities(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    p = truncate(logits, top_k).softmax(-1)
    return draw(logits, generator, 1.0, top_k) if temperature == 1 else multinomial((p / temperature).softmax(-1), generator)


@mistake(
    SAMPLE,
    killed_by=TOP_K,
    says="You keep every value that is as likely as the k-th one. top_k keeps exactly k values.",
)
@sampler_with_pick
def keeps_all_that_are_tied(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    if top_k is not None:
        threshold = logits.topk(min(top_k, logits.shape[1]), dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < threshold, -math.inf)
    return draw(logits, generator, temperature, None)


@mistake(SAMPLE, killed_by=TOP_K, says="You keep one value too many: k of them, not k + 1.")
@sampler_with_pick
def keeps_one_value_more(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(logits, generator, temperature, top_k and top_k + 1)


@mistake(
    SAMPLE,
    killed_by=TOP_K,
    says="You look for the k likeliest values once, at the first pixel that is drawn. Each pixel has its own.",
)
def keeps_the_values_of_the_first_pixel(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    kept: list[Tensor] = []

    def pick(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
        if top_k is not None:
            kept.append(logits.topk(min(top_k, logits.shape[1]), dim=1).indices)
            logits = torch.full_like(logits, -math.inf).scatter(1, kept[0], logits.gather(1, kept[0]))
        return draw(logits, generator, temperature, None)

    return ancestral(model, n, m, generator, temperature, top_k, prefix, use_cache, pick=pick)


@mistake(
    SAMPLE,
    killed_by=TOP_K,
    says="A value that is cut off at one pixel of an image stays cut off at the next ones. Each pixel has its own k values.",
)
def cut_off_for_good(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    cut = torch.zeros(n, model.config.K, dtype=torch.bool)

    def pick(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
        nonlocal cut
        now = truncate(logits, top_k).isinf()
        cut = now if (cut | now).all(dim=1).any() else cut | now
        return draw(logits.masked_fill(cut, -math.inf), generator, temperature, None)

    return ancestral(model, n, m, generator, temperature, top_k, prefix, use_cache, pick=pick)


@mistake(
    SAMPLE,
    killed_by=TOP_K,
    says="You keep one value too few: values equal to the k-th likeliest belong to the k that are kept.",
)
@sampler_with_pick
def drops_the_kth_value(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(logits, generator, temperature, top_k and max(1, min(top_k, logits.shape[1]) - 1))


@mistake(
    SAMPLE,
    killed_by=TOP_K,
    says="You set the logits that are cut off to zero, and exp(0) = 1: they stay possible. Minus infinity excludes them.",
)
@sampler_with_pick
def fills_with_zero(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(truncate(logits, top_k).nan_to_num(neginf=0.0), generator, temperature, None)


@mistake(SAMPLE, killed_by=TOP_K, says="top_k has no effect here: you draw as if there were none.")
@sampler_with_pick
def ignores_top_k(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(logits, generator, temperature, None)


@mistake(
    SAMPLE,
    killed_by=ALL,
    says="top_k larger than the number of values must truncate nothing: topk raises when asked for too many.",
    raises=True,
)
@sampler_with_pick
def asks_for_too_many(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    if top_k is not None:
        logits.topk(top_k, dim=1)
    return draw(logits, generator, temperature, top_k)


@mistake(SAMPLE, killed_by=UNCACHED, says="All images of a batch get the same noise. Their draws are independent.")
@sampler_with_pick
def one_noise_for_the_batch(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    cdf = (truncate(logits, top_k) / temperature).softmax(-1).cumsum(-1)
    u = torch.rand(1, 1, generator=generator, dtype=cdf.dtype, device=cdf.device)
    return (u > cdf).sum(-1).clamp(max=logits.shape[1] - 1)


@mistake(
    SAMPLE,
    killed_by=EXACT,
    says="You sample at temperature 1.1 where 1 is asked for: that is not p_theta any more.",
    when=lambda temperature: temperature == 1,
)
@sampler_with_pick
def a_tenth_too_warm(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(logits, generator, 1.1 * temperature, top_k)


@mistake(
    SAMPLE,
    killed_by=EXACT,
    says="You sample at temperature 0.9 where 1 is asked for: that is not p_theta any more.",
    when=lambda temperature: temperature == 1,
)
@sampler_with_pick
def a_tenth_too_cold(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(logits, generator, 0.9 * temperature, top_k)


@mistake(SAMPLE, killed_by=EXACT, says="You drop values less likely than 0.02. Without top_k nothing is cut off.")
@sampler_with_pick
def drops_rare_values(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    kept = truncate(logits, top_k)
    p = ((kept - kept.amax(-1, keepdim=True)) / temperature).softmax(-1)
    return multinomial(torch.where(p < min(0.02, p.max().item()), 0, p), generator)


@mistake(
    SAMPLE,
    killed_by=EXACT,
    says="You mix the law with the uniform one: a fifth of the pixels is drawn from all values alike.",
)
@sampler_with_pick
def a_fifth_uniform(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    p = (truncate(logits, top_k) / temperature).softmax(-1)
    return multinomial(0.8 * p + 0.2 / p.shape[1], generator)


@mistake(
    SAMPLE,
    killed_by=LIKELIEST,
    says="Your temperature stops at a floor. Colder ones are legal, and nearly take the likeliest value.",
)
@sampler_with_pick
def never_colder_than_a_tenth(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(logits, generator, max(temperature, 0.1), top_k)


@mistake(
    SAMPLE,
    killed_by="test_the_coldest_temperature_takes_the_likeliest_value",
    says="At a temperature of 1e-39 your probabilities are not finite. Subtract the largest logit, and divide by the temperature itself.",
    raises=True,
)
@sampler_with_pick
def overflows_when_cold(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return multinomial((truncate(logits, top_k) / temperature).softmax(-1), generator)


@mistake(
    SAMPLE,
    killed_by=LIKELIEST,
    says="You cut all images off at the threshold of the first one. Each has its own top k.",
)
@sampler_with_pick
def threshold_of_the_first_image(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    kept = truncate(logits, top_k)[:1]
    return draw(torch.where(kept.isinf(), -math.inf, logits), generator, temperature, None)


@mistake(SAMPLE, killed_by=ALL, says="You keep K - 1 values at most. top_k >= K truncates nothing.")
@sampler_with_pick
def never_all_values(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(logits, generator, temperature, top_k and max(1, min(top_k, logits.shape[1] - 1)))


@mistake(SAMPLE, killed_by=LIKELIEST, says="The first pixel is drawn at temperature 1. The temperature holds for every pixel.")
def first_pixel_at_temperature_one(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    check(m, temperature, top_k, prefix)
    if prefix is None or not prefix.shape[1]:
        prefix = ancestral(model, n, 1, generator, 1.0, top_k, None, use_cache)
    return ancestral(model, n, m, generator, temperature, top_k, prefix, use_cache)


@mistake(
    SAMPLE,
    killed_by=UNCACHED,
    says="The first pixel is drawn uniformly. It has a law as well: that after the start vector.",
)
@sampler_with_logits
def first_pixel_uniform(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    logits = newest(model, x, j, cache)
    return logits if j > 0 else torch.zeros_like(logits)


@mistake(
    SAMPLE,
    killed_by=UNCACHED,
    says="All pixels are drawn without looking at each other. Each one needs the values drawn before it.",
)
@sampler_with_logits
def all_pixels_at_once(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    return newest(model, torch.zeros_like(x), j, cache)


@mistake(
    SAMPLE,
    killed_by=UNCACHED,
    says="You read the logits one position too early. logits[:, j] are those of x_j: forward makes the shift itself.",
)
@sampler_with_logits
def reads_the_logits_of_the_pixel_before(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    if cache is None:
        return model(x[:, : j + 1])[:, max(j - 1, 0)]
    return newest(model, x, max(j - 1, 0), None)


@mistake(
    SAMPLE,
    killed_by=CACHED,
    says="With the cache each step gets the vector of position 0. A step at pixel j carries the j-th row of wpe.",
)
@sampler_with_logits
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
    says="With the cache a step is one position late: the value before pixel j carries the j-th row of wpe, not row j - 1.",
)
@sampler_with_logits
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
@sampler_with_logits
def cache_without_the_start_vector(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    if cache is None or j == 0:
        return newest(model, x, j, None)
    return model.decode(embed(model, x, len(cache) + 1, j + 1), cache)[:, -1]


@mistake(
    SAMPLE,
    killed_by=LIKELIEST,
    says="With the cache the prefix never goes through the network: only the newest pixel does. Feed all of it first.",
)
@sampler_with_logits
def prefix_not_fed(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    if cache is None:
        return newest(model, x, j, None)
    return model.decode(embed(model, x, j, j + 1), cache)[:, -1]


@mistake(
    SAMPLE,
    killed_by=LIKELIEST,
    says="You read the first of the new positions after the prefix went in: the newest one is the last.",
)
@sampler_with_logits
def reads_the_first_new_position(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    if cache is None:
        return newest(model, x, j, None)
    return model.decode(embed(model, x, len(cache), j + 1), cache)[:, 0]


@mistake(
    SAMPLE,
    killed_by=CACHED,
    says="The whole prefix goes into the cache again at every step, so that positions stand there twice and it overflows.",
)
@sampler_with_logits
def feeds_the_prefix_again_and_again(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    return newest(model, x, j, None) if cache is None else model.decode(embed(model, x, 0, j + 1), cache)[:, -1]


@mistake(SAMPLE, killed_by=COMPLETES, says="You draw the given pixels as well. A prefix is kept as given.")
def overwrites_the_prefix(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    check(m, temperature, top_k, prefix)
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
    check(m, temperature, top_k, prefix)
    x = ancestral(model, n, m, generator, temperature, top_k, None, use_cache)
    if prefix is not None:
        x[:, : prefix.shape[1]] = prefix
    return x


@mistake(SAMPLE, killed_by=COMPLETES, says="Every image goes on from the first prefix. Each has its own.")
def one_prefix_for_all(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    check(m, temperature, top_k, prefix)
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
    return ancestral(model, n, model.config.m, *rest, **how)


@mistake(
    SAMPLE,
    killed_by=TOP_K,
    says="From top_k = 3 on you keep one value more than top_k.",
    when=lambda top_k: top_k is not None and top_k > 2,
)
@sampler_with_pick
def keeps_one_more_of_many(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(logits, generator, temperature, None if top_k is None else top_k + (top_k > 2))


@mistake(SAMPLE, killed_by=CACHED, says="With the cache positions are added twice. `h` carries them once; `decode` adds none.")
@sampler_with_logits
def adds_positions_twice(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    if cache is None:
        return newest(model, x, j, None)
    first = len(cache)
    return model.decode(embed(model, x, first, j + 1) + model.wpe.weight[first : j + 1], cache)[:, -1]


@mistake(SAMPLE, killed_by=TOP_K, says="You keep the least likely values. top_k keeps the k likeliest.")
@sampler_with_pick
def keeps_the_least_likely(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    return draw(logits if top_k is None else -truncate(-logits, top_k).nan_to_num(neginf=math.inf), generator, temperature, None)


@mistake(
    SAMPLE,
    killed_by=UNCACHED,
    says="You read the logits of the last position, logits[:, -1], while pixels are missing. logits[:, j] are those of x_j.",
)
@sampler_with_logits
def reads_the_logits_of_the_last_pixel(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    return model(x)[:, -1] if cache is None else newest(model, x, j, cache)


@mistake(SAMPLE, killed_by=UNCACHED, says="The first pixel is never drawn, and stays 0. Its distribution is that after the start vector.")
@sampler_with_logits
def first_pixel_stays_zero(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    logits = newest(model, x, j, cache)
    return logits if j else torch.where(torch.arange(logits.shape[1]) == 0, 0.0, -math.inf).expand_as(logits)


@variant(SAMPLE)
@sampler_with_pick
def gumbel_max(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    u = torch.rand(logits.shape, generator=generator, dtype=torch.float64, device=generator.device)
    gumbel = -(-u.clamp(min=1e-300).log()).clamp(min=1e-300).log()
    return (truncate(logits, top_k).double() / temperature + gumbel).argmax(-1)


@variant(SAMPLE)
@sampler_with_pick
def inverse_cdf(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    cdf = (truncate(logits, top_k).double() / temperature).softmax(-1).cumsum(-1)
    u = torch.rand(len(logits), 1, generator=generator, dtype=torch.float64, device=generator.device)
    return torch.searchsorted(cdf, u * cdf[:, -1:], right=True)[:, 0].clamp(max=logits.shape[1] - 1)


@variant(SAMPLE)
def sixteen_images_at_a_time(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    check(m, temperature, top_k, prefix)
    sizes = [len(part) for part in torch.arange(n).split(16)]
    given = [None] * len(sizes) if prefix is None else prefix.split(16)
    parts = zip(sizes, given, strict=True)
    return torch.cat([ancestral(model, size, m, generator, temperature, top_k, one, use_cache) for size, one in parts])


@variant(SAMPLE)
@sampler_with_logits
def feeds_the_prefix_position_by_position(model: Any, x: Tensor, j: int, cache: Any) -> Tensor:
    if cache is None:
        padded = torch.zeros(len(x), model.config.m, dtype=torch.int64, device=x.device)
        padded[:, :j] = x[:, :j]
        return model(padded)[:, j]  # the whole length: pixels not drawn yet are never looked at
    for i in range(len(cache), j + 1):
        logits = model.decode(embed(model, x, i, i + 1), cache)
    return logits[:, -1]


@variant(SAMPLE)
@torch.inference_mode()
def in_inference_mode(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    check(m, temperature, top_k, prefix)
    training = model.training
    model.eval()
    x = torch.empty(n, 0, dtype=torch.long, device=model.sos.device) if prefix is None else prefix
    cache = new_cache(model, n) if use_cache else None
    while x.shape[1] < m:
        padded = torch.cat([x, x.new_zeros(n, 1)], dim=1)
        logits = newest(model, padded, x.shape[1], cache)
        x = torch.cat([x, draw(logits, generator, temperature, top_k)[:, None]], dim=1)
    model.train(training)
    return x.clone()


@variant(SAMPLE)
@sampler_with_pick
def exponential_race(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    p = ((truncate(logits, top_k) - logits.amax(-1, keepdim=True)) / temperature).softmax(-1)
    return torch.argmax(p / torch.empty_like(p).exponential_(1, generator=generator), dim=-1)


@variant(SAMPLE)
@sampler_with_pick
def top_k_by_sorting(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    values, order = logits.double().sort(dim=-1, descending=True)
    if top_k is not None:
        values, order = values[:, :top_k], order[:, :top_k]
    picked = multinomial(F.softmax((values - values[:, :1]) / temperature, dim=-1), generator)
    return order.gather(1, picked[:, None]).squeeze(1)


@variant(SAMPLE)
def as_nanogpt(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    if temperature <= 0 or (top_k is not None and top_k < 1) or (prefix is not None and prefix.size(1) > m):
        raise ValueError("temperature, top_k or prefix makes no sense")
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    idx = torch.zeros((n, 0), dtype=torch.long, device=device) if prefix is None else prefix.clone()
    cache = new_cache(model, n) if use_cache else None
    try:
        with torch.no_grad():
            while idx.size(1) < m:
                j = idx.size(1)
                h = torch.cat((model.sos.view(1, 1, -1).expand(n, 1, -1), model.wte(idx)), dim=1) + model.wpe.weight[: j + 1]
                h = h if cache is None else h[:, len(cache) :]
                logits = model.decode(h, cache)[:, -1, :]
                if top_k is not None:
                    v, i = torch.topk(logits, min(top_k, logits.size(-1)))
                    logits = torch.full_like(logits, -float("Inf")).scatter_(1, i, v)
                logits = logits - logits.max(dim=-1, keepdim=True).values
                probs = F.softmax(logits / temperature, dim=-1)
                idx = torch.cat((idx, torch.multinomial(probs, num_samples=1, generator=generator)), dim=1)
    finally:
        model.train(was_training)
    return idx


@variant(SAMPLE)
def with_a_prefill(
    model: Any, n: int, m: int, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None,
    prefix: Tensor | None = None, use_cache: bool = True,
) -> Tensor:  # fmt: skip
    check(m, temperature, top_k, prefix)
    x, start = buffer(model, n, m, prefix)
    with evaluating(model):
        if use_cache and start < m:
            cache = new_cache(model, n)
            logits = model.decode(embed(model, x, 0, start + 1), cache)[:, -1]
            for j in range(start, m):
                x[:, j] = draw(logits, generator, temperature, top_k)
                if j + 1 < m:
                    step = (model.wte(x[:, j]) + model.wpe.weight[j + 1])[:, None]
                    logits = model.decode(step, cache)[:, 0]
        else:
            for j in range(start, m):
                x[:, j] = draw(model(x)[:, j], generator, temperature, top_k)
    return x
