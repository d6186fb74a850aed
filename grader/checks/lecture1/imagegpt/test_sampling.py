"""Ancestral sampling with a key/value cache."""

import math
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import Mismatch, assert_agrees, assert_form, assert_no_trace, refuses
from grader.checking.statistics import assert_follows_pmf, outcome_index
from grader.checking.student import StudentError
from grader.checks.lecture1.imagegpt.draw import constant_network, model_of, network, telling_network
from grader.checks.lecture1.imagegpt.helpers import (
    break_layer,
    elsewhere,
    get_modes,
    sampled_with_logits,
    set_modes,
    watch_modes,
    watched,
    work_of_sampling,
)
from grader.checks.lecture1.shared import draw

sample = pytest.mark.exercise("imagegpt.sample")
weight, examples = pytest.mark.weight, pytest.mark.examples

A_TIE = 1e-3  # of two logits: which of them is drawn may fall either way
LIKELIEST: list[dict[str, Any]] = [{"top_k": 1}, {"temperature": 1e-5}]
AT_FIRST = 256  # images of a call: about half of what refutes every law that is told apart


@sample
@weight(0.25)
def test_samples_without_a_cache_follow_the_joint_law(student, ref, seed):
    """Images drawn pixel by pixel, the whole prefix through the network each time, follow p_theta."""
    assert_samples_follow_the_joint_law(student, ref, seed, use_cache=False)


@sample
@weight(0.25)
def test_samples_with_a_cache_follow_the_joint_law(student, ref, seed):
    """Images drawn pixel by pixel, each step with the stored keys and values, follow the same p_theta."""
    assert_samples_follow_the_joint_law(student, ref, seed)


def assert_samples_follow_the_joint_law(student, ref, seed, **how):
    net = telling_network(ref.joint_pmf, ref.mistaken_joint_pmfs, seed, 3, effect=0.2)
    given_net = net.weights, net.num_heads, 3
    draws = _draws(student, model_of(student, net), 3, student.generator(seed), **how)
    law, wrong = ref.joint_pmf(*given_net), ref.mistaken_joint_pmfs(*given_net)
    assert_follows_pmf(lambda n: outcome_index(draws(n), 2), law, effect=0.2, named=wrong, first=AT_FIRST)


@sample
@weight(0.25)
def test_completions_follow_the_law_given_their_own_prefix(student, ref, seed):
    """Each image goes on from its own given pixels, which stay as they are, with the law that they leave."""

    def law(weights, num_heads, m, first=0):
        return ref.joint_pmf(weights, num_heads, m, prefix=torch.tensor([first]))

    def wrong(weights, num_heads, m):
        return {
            "one_prefix_for_all": law(weights, num_heads, m, first=1),
            "pastes_the_prefix_on": ref.joint_pmf(weights, num_heads, m).sum(dim=0),
            "starts_anew_after_the_prefix": ref.joint_pmf(weights, num_heads, m - 1),
        }

    net = telling_network(law, wrong, seed, 3, effect=0.15)
    model, generator = model_of(student, net), student.generator(seed)

    def completions(n):
        prefix = torch.tensor([[1]] * n + [[0]] * n)  # the law of the zeros is looked at
        x = student.sample(model, 2 * n, 3, generator, prefix=prefix)
        assert_form(x, (2 * n, 3), torch.int64)
        assert_agrees(x[:, :1], prefix, what="the part of the result that was given")
        return outcome_index(x[n:, 1:], 2)

    given_net = net.weights, net.num_heads, 3
    assert_follows_pmf(completions, law(*given_net), effect=0.15, named=wrong(*given_net), first=AT_FIRST)


@sample
@weight(0.25)
@examples(1)
@given(seed=draw.seeds, t=st.integers(0, 5), key=draw.seeds, how=st.sampled_from(LIKELIEST), use_cache=st.booleans())
@example(seed=0, t=0, key=0, how={"top_k": 1}, use_cache=True)
@example(seed=1, t=1, key=1, how={"temperature": 1e-5}, use_cache=True)
@example(seed=2, t=3, key=2, how={"top_k": 1}, use_cache=True)
@example(seed=3, t=3, key=3, how={"temperature": 1e-5}, use_cache=False)
def test_the_likeliest_values_are_those_of_the_model_after_every_prefix(student, seed, t, key, how, use_cache):
    """With top_k = 1, or nearly no temperature, each new pixel is the likeliest one given all before it."""
    n, m, K = 8, 5, 5
    net = network(seed, K=K, m=m, e=4, num_layers=2, dtype=torch.float64)
    prefix = draw.integers((n, t), key, high=K)
    how = {**how, "prefix": prefix, "use_cache": use_cache}
    x, logits = student.run(sampled_with_logits, model_of(student, net), n, m, student.generator(key), how)
    assert_form(x, (n, m), torch.int64)
    assert_agrees(x[:, :t], prefix, what="the part of the result that was given")
    if x.min() < 0 or x.max() >= K:
        raise Mismatch("value", f"values lie in {x.min().item()}..{x.max().item()}, expected them in 0..{K - 1}", x)
    assert_form(logits, (n, m, K), torch.float64, what="the model's result")
    behind = logits.amax(dim=2) - logits.gather(2, x[..., None])[..., 0]
    behind[:, :t] = 0
    if (behind > A_TIE).any():  # a tie, or nearly one, may fall either way
        i, j = (int(index) for index in (behind > A_TIE).nonzero()[0])
        likeliest = logits[i, j].argmax().item()
        raise Mismatch(
            "value",
            f"pixel {j} after {x[i, :j].tolist()} is {x[i, j].item()}, expected the likeliest value {likeliest}",
            x,
        )


@sample
@weight(0.25)
def test_temperature_divides_the_logits(student, ref, seed):
    """At temperature T pixels are drawn from softmax(logits / T)."""
    net = telling_network(ref.joint_pmf, ref.mistaken_temperatures, seed, 2, 3.0, effect=0.2)
    given_net = net.weights, net.num_heads, 2, 3.0
    draws = _draws(student, model_of(student, net), 2, student.generator(seed), temperature=3.0)
    law, wrong = ref.joint_pmf(*given_net), ref.mistaken_temperatures(*given_net)
    assert_follows_pmf(lambda n: outcome_index(draws(n), 2), law, effect=0.2, named=wrong, first=AT_FIRST)


@sample
@weight(0.25)
def test_top_k_keeps_exactly_k_values(student, seed):
    """Of logits 2, 1, 1, 1, 0, -1 and top_k = 2, the 2 and one of the tied 1s remain, the 2 with e / (1 + e)."""
    model = model_of(student, constant_network(torch.tensor([2.0, 1.0, 1.0, 1.0, 0.0, -1.0])))
    draws = _draws(student, model, 2, student.generator(seed), top_k=2)
    mass = lambda first, rest: torch.tensor([first, rest]) / (first + rest)  # noqa: E731
    wrong = {
        "keeps_all_that_are_tied": mass(math.e, 3.0),
        "ignores_top_k": mass(math.e, 3 + math.exp(-1) + math.exp(-2)),
        "keeps_one_value_more": mass(math.e, 2.0),
        "fills_with_zero": mass(math.e, 1 + 4 * math.exp(-1)),
    }
    assert_follows_pmf(lambda n: (draws(n)[:, 1] != 0).long(), mass(math.e, 1.0), effect=0.15, named=wrong, first=AT_FIRST)


@sample
@weight(0.25)
def test_top_k_of_all_values_truncates_nothing(student, seed):
    """top_k = K, or more, leaves the law as it is."""
    logits = torch.tensor([1.0, 0.5, 0.5])  # whoever cuts one value off misses 0.27 of the law
    model = model_of(student, constant_network(logits, m=1))
    for top_k in (3, 7):
        draws = _draws(student, model, 1, student.generator(seed + top_k), top_k=top_k)
        assert_follows_pmf(_first_pixels(draws), logits.double().softmax(dim=0), effect=0.2, first=192)


@sample
@weight(0.25)
def test_sampling_reads_its_generator_and_leaves_no_trace(student, seed):
    """The same state gives the same images, another one others; model, prefix and global state stay as they are."""
    n, m = 20, 3
    model = model_of(student, constant_network(torch.zeros(4), m))  # 4^-40: that images agree by chance
    prefix = draw.integers((n, 1), seed, high=4)
    student.run(set_modes, model)
    generator = student.generator(seed)
    for use_cache in (True, False):
        how = {"prefix": prefix, "use_cache": use_cache}
        observed = student.sample.observed(model, n, m, student.generator(seed), **how)
        assert_no_trace(observed, graph_free=True)
        first = student.sample(model, n, m, generator, **how)
        assert_form(first, (n, m), torch.int64)
        for name, g in (("the next call with the generator", generator), ("another seed", student.generator(seed + 1))):
            if torch.equal(first, student.sample(model, n, m, g, **how)):
                raise Mismatch(
                    "law", f"{name} gives the very same images: all randomness should come from the generator"
                )
        again = student.sample(model, n, m, student.generator(seed), **how)
        assert_agrees(again, observed.value, what="a second run from the same state")


@sample
@weight(0.25)
@examples(1)
@given(seed=draw.seeds, use_cache=st.booleans(), broken=st.booleans())
@example(seed=0, use_cache=True, broken=False)
@example(seed=0, use_cache=True, broken=True)
@example(seed=0, use_cache=False, broken=True)
def test_the_model_samples_in_eval_mode_and_gets_its_modes_back(student, seed, use_cache, broken):
    """While it samples every layer is in eval mode; after it, or after an exception, each has its own mode again."""
    model = model_of(student, network(seed, m=3))
    modes = student.run(set_modes, model)
    student.run(watch_modes, model)
    if broken:
        student.run(break_layer, model, 2)
    try:
        student.sample(model, 2, 3, student.generator(seed), use_cache=use_cache)
    except StudentError as error:
        if error.type != "ArithmeticError":  # that of the broken layer
            raise
    if True in student.run(watched, model):
        raise Mismatch("trace", "a layer computes in training mode while the model samples: call model.eval() first")
    if student.run(get_modes, model) != modes:
        when = "an exception in a layer" if broken else "sampling"
        raise Mismatch("trace", f"after {when} a submodule is in another mode than before: each one gets its own back")


@sample
@weight(0.25)
@examples(1)
@given(seed=draw.seeds, t=st.integers(0, 2))
@example(seed=0, t=0)
@example(seed=0, t=2)
def test_sampling_with_a_cache_is_the_work_of_one_pass(student, seed, t):
    """With the cache each position goes through the network once: at most twice the work of one whole pass."""
    n, m = 2, 5
    net = network(seed, K=3, m=m, e=4, num_layers=1)
    dim, num_layers = net.sizes["dim"], net.sizes["num_layers"]
    one_pass = n * m * (num_layers * (12 * dim**2 + 2 * m * dim) + dim * net.sizes["K"])
    work = student.run(
        work_of_sampling, model_of(student, net), n, m, student.generator(seed), draw.integers((n, t), seed, high=3)
    )
    if work > 2 * one_pass:
        raise Mismatch(
            "value",
            f"sampling {m} pixels takes {work / one_pass:.1f} times the multiplications of one pass over all of them: "
            "feed the network only the positions that are not in the cache yet",
        )


@sample
@weight(0.25)
@examples(1)
@given(seed=draw.seeds, key=draw.seeds)
def test_sampling_refuses_arguments_that_make_no_sense(student, seed, key):
    """No images, no or too many pixels, no temperature, no values to keep, a prefix that does not fit are refused."""
    model, generator = model_of(student, network(seed, K=3, m=4, num_layers=1)), student.generator(key)
    prefix = draw.integers((2, 3), key, high=3)
    for names, n, m, how in (
        ("n", 0, 3, {}),
        ("m", 2, 0, {}),
        ("m", 2, 5, {}),
        ("temperature", 2, 3, {"temperature": 0.0}),
        ("temperature", 2, 3, {"temperature": -1.0}),
        ("top_k", 2, 3, {"top_k": 0}),
        (("prefix", "n"), 3, 4, {"prefix": prefix}),
        (("prefix", "n"), 1, 4, {"prefix": prefix}),
        (("prefix", "m"), 2, 2, {"prefix": prefix}),
    ):
        with refuses(*([names] if isinstance(names, str) else names)):
            student.sample(model, n, m, generator, **how)
    whole = student.sample(model, 2, 3, generator, prefix=prefix)
    assert_agrees(whole, prefix, what="the result for a prefix that leaves nothing to draw")
    one_colour = student.sample(model_of(student, network(seed, K=1, m=2, num_layers=1)), 1, 1, generator)
    assert_agrees(one_colour, torch.tensor([[0]]), what="one image of one pixel with one colour")


@sample
@weight(0.25)
def test_sampling_stays_on_the_device_of_the_model(student, seed):
    """The buffer of pixels and all else are made where the model is, whatever that device is."""
    model, prefix = model_of(student, network(seed, K=3, m=3, num_layers=1)), draw.integers((2, 1), seed, high=3)
    for use_cache, m in ((True, 3), (False, 2)):  # the first pixel after the prefix, and one that finds it in the cache
        arguments = model, 2, m, student.generator(seed), 0.7, 2, prefix, use_cache
        problem = student.run(elsewhere, model, "sample", *arguments)
        if problem:
            raise Mismatch("device", f"with the model on another device, {problem}. Give `device=` to what you make.")


def _first_pixels(draws):
    return lambda n: draws(n)[:, 0]


def _draws(student, model, m, generator, **how):
    """n images of m pixels as a function of n, each call checked for its form."""

    def draws(n):
        x = student.sample(model, n, m, generator, **how)
        assert_form(x, (n, m), torch.int64)
        return x

    return draws
