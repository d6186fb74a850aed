"""The law of ancestral sampling. The blocks of the model are probes, and its law is what its own `forward` says."""

import math
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees
from grader.checking.statistics import assert_follows_pmf, outcome_index
from grader.checks.lecture1.imagegpt.draw import (
    constant_network,
    law_of_the_model,
    model_of,
    probed_network,
    telling_network,
)
from grader.checks.lecture1.imagegpt.sampled import assert_likeliest, draws_of, tokens_of
from grader.checks.lecture1.shared import draw

sample = pytest.mark.exercise("imagegpt.sample")
weight, examples = pytest.mark.weight, pytest.mark.examples

LIKELIEST: list[dict[str, Any]] = [{"top_k": 1}, {"temperature": 1e-5}, {"temperature": 1e-39}]
AT_FIRST = 512  # draws of a call: about half of what refutes every law that is told apart
COLD = 1e-6  # a temperature that is small and no more: logits may be as small
EFFECT = 0.1  # total variation from a law that is surely seen
LATER = 4  # pixels of an image, all after the first one, that are counted: what is wrong in each of them shows undiminished


KNOWN_LAW = torch.tensor([[[0.068480, 0.179444], [0.111402, 0.139995]], [[0.088278, 0.205003], [0.069276, 0.138122]]])


@sample
@weight(0.25)
def test_samples_of_known_weights_follow_the_law_worked_out(student, seed):
    """Images of three pixels with two colours, with and without the cache: the probabilities of all eight are known."""
    model = model_of(student, known_network())
    law = law_of_the_model(model, KNOWN_LAW.double())
    for use_cache in (False, True):
        draws = draws_of(student, model, 3, student.generator(seed), use_cache=use_cache)
        assert_follows_pmf(_images_of_two_colours(draws), law, effect=EFFECT, first=AT_FIRST)


def known_network():
    """Two colours, images of up to four pixels; no image of three pixels is rare, and none is likely."""
    net = probed_network(3, K=2, m=4, e=3, num_layers=1)
    net.weights["head.weight"] *= 1.5
    return net


@sample
@weight(0.25)
def test_samples_without_a_cache_follow_the_joint_law(student, ref, seed):
    """Images drawn pixel by pixel, the whole prefix through the network each time, follow p_theta."""
    _assert_samples_follow_the_joint_law(student, ref, seed, use_cache=False)


@sample
@weight(0.25)
def test_samples_with_a_cache_follow_the_joint_law(student, ref, seed):
    """Images drawn pixel by pixel, each step with the stored keys and values, follow the same p_theta."""
    _assert_samples_follow_the_joint_law(student, ref, seed)


def _assert_samples_follow_the_joint_law(student, ref, seed, **how):
    net = telling_network(ref.joint_pmf, ref.mistaken_joint_pmfs, seed, 3, effect=EFFECT)
    model, right = model_of(student, net), ref.joint_pmf(net.weights, net.num_heads, 3)
    draws = draws_of(student, model, 3, student.generator(seed), **how)
    wrong = ref.mistaken_joint_pmfs(net.weights, net.num_heads, 3)
    _assert_follows(_images_of_two_colours(draws), law_of_the_model(model, right), right, wrong)


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

    net = telling_network(law, wrong, seed, 3, effect=EFFECT)
    model, generator = model_of(student, net), student.generator(seed)

    def completions(n):
        prefix = torch.tensor([[1]] * n + [[0]] * n)  # the law of the zeros is looked at
        x = tokens_of(student.sample(model, 2 * n, 3, generator, prefix=prefix), 2 * n, 3)
        assert_agrees(x[:, :1], prefix, what="the part of the result that was given")
        return outcome_index(x[n:, 1:], 2)

    given_net = net.weights, net.num_heads, 3
    right = law(*given_net)
    _assert_follows(completions, law_of_the_model(model, right, prefix=[0]), right, wrong(*given_net))


def _assert_follows(draws, law, right, wrong):
    """Mistakes have names only where the model's law is the right one."""
    assert_follows_pmf(draws, law, effect=EFFECT, named=wrong if law is right else {}, first=AT_FIRST)


@sample
@weight(0.25)
def test_temperature_one_is_exact_sampling(student, seed):
    """One of 256 colours (outcome 1) is as likely as all others together (outcome 0), with the cache and without."""
    model = model_of(student, _one_likely_among(256))
    for use_cache in (True, False):
        peaks = _later_pixels(student, model, student.generator(seed), lambda x: x == 0, use_cache=use_cache)
        assert_follows_pmf(peaks, _at_temperature(1.0, 256), effect=EFFECT, first=AT_FIRST)


@sample
@weight(0.25)
def test_temperature_divides_the_logits(student, seed):
    """At temperature T pixels are drawn from softmax(logits / T): outcome 1 is the one likely colour among 64."""
    for unit, temperature in ((1.0, 1.1), (COLD, 0.9 * COLD), (1.0, 2.0), (1.0, 1e30)):  # logits of any size have a temperature
        model = model_of(student, _one_likely_among(64, unit))
        peaks = _later_pixels(student, model, student.generator(seed), lambda x: x == 0, temperature=temperature)
        named = {
            "ignores_the_temperature": _at_temperature(1 / unit, 64),
            "multiplies_by_the_temperature": _at_temperature(1 / unit / temperature, 64),
        }
        assert_follows_pmf(peaks, _at_temperature(temperature / unit, 64), effect=EFFECT, named=named, first=AT_FIRST)


def _one_likely_among(K, temperature=1.0):
    """The network that gives the first of K colours, at this temperature, as much probability as all others together."""
    return constant_network(temperature * torch.tensor([math.log(K - 1)] + [0.0] * (K - 1)), m=1 + LATER)


def _at_temperature(temperature, K):
    """The probabilities of not being, and of being, its likely colour."""
    peak = 1 / (1 + (K - 1) ** (1 - 1 / temperature))
    return torch.tensor([1 - peak, peak], dtype=torch.float64)


def _later_pixels(student, model, generator, event, **how):
    """Whether n pixels of a constant network are an `event`: all but the first of each image, which are independent draws."""
    draws = draws_of(student, model, 1 + LATER, generator, **how)
    return lambda n: event(draws(-(-n // LATER))[:, 1:]).T.flatten()[:n].long()


@sample
@weight(0.25)
@examples(1)
@given(seed=draw.seeds, t=st.integers(0, 5), key=draw.seeds, how=st.sampled_from(LIKELIEST), use_cache=st.booleans())
@example(seed=0, t=0, key=0, how={"top_k": 1}, use_cache=True)
@example(seed=1, t=1, key=1, how={"temperature": 1e-5}, use_cache=True)
@example(seed=2, t=3, key=2, how={"top_k": 1}, use_cache=True)
@example(seed=3, t=3, key=3, how={"temperature": 1e-5}, use_cache=False)
@example(seed=4, t=0, key=4, how={"temperature": 1e-5}, use_cache=True)
def test_the_likeliest_values_are_those_of_the_model_after_every_prefix(student, seed, t, key, how, use_cache):
    """With top_k = 1, or nearly no temperature, each new pixel is the likeliest one given all before it."""
    net = probed_network(seed, K=5, m=5, e=4, dtype=torch.float64)
    assert_likeliest(student, net, draw.integers((8, t), key, high=5), key, {**how, "use_cache": use_cache})


@sample
@weight(0.0625)
def test_the_coldest_temperature_takes_the_likeliest_value(student, seed):
    """A temperature of 1e-39 is positive, though a float32 divided by it overflows: it picks out the largest logit."""
    net = probed_network(1, K=5, m=5, e=4)
    assert_likeliest(student, net, draw.integers((8, 1), 0, high=5), seed, {"temperature": 1e-39})


@sample
@weight(0.25)
def test_top_k_keeps_exactly_k_values(student, seed):
    """Of logits 1.5, 1, 1, 1, 0, -1 and top_k = 2, the 1.5 and one of the tied 1s remain, at any temperature.

    Each pixel has its own k values.
    """
    model = model_of(student, constant_network(torch.tensor([1.5, 1.0, 1.0, 1.0, 0.0, -1.0]), m=1 + LATER))
    for temperature in (1.0, 0.5):
        others = _later_pixels(student, model, student.generator(seed), lambda x: x != 0, top_k=2, temperature=temperature)
        e = math.exp(0.5 / temperature)  # with a wider gap the softmax of a softmax would draw as `keeps_one_value_more` does
        mass = lambda first, rest: torch.tensor([first, rest]) / (first + rest)  # noqa: E731
        wrong = {
            "keeps_all_that_are_tied": mass(e, 3.0),
            "ignores_top_k": mass(e, 3 + 1 / e**2 + 1 / e**4),
            "keeps_one_value_more": mass(e, 2.0),
            "keeps_the_least_likely": torch.tensor([0.0, 1.0]),
            "fills_with_zero": mass(e**3, 4 + e**2),
        }
        named = wrong if temperature == 1 else {}  # a wrong temperature looks much like these
        assert_follows_pmf(others, mass(e, 1.0), effect=0.1, named=named, first=AT_FIRST)
    many = model_of(student, constant_network(torch.linspace(0.1, 0.0, 40), m=1 + LATER))  # one of 17 is missed once in 10^12
    came = draws_of(student, many, 1 + LATER, student.generator(seed), top_k=17)(128)[:, 1:].unique()
    assert_agrees(came, torch.arange(17), what="the values, of 40 less and less likely ones, that come up with top_k = 17")
    turned = constant_network(torch.linspace(0.1, 0.0, 5))
    turned.weights["wpe.weight"][1] = -1.0  # for the second pixel the order of the values is turned round
    came = draws_of(student, model_of(student, turned), 2, student.generator(seed), top_k=3)(96)[:, 1].unique()  # missed once in 10^15
    assert_agrees(came, torch.tensor([2, 3, 4]), what="the values of a second pixel that makes 4 the likeliest, with top_k = 3")


@sample
@weight(0.125)
def test_top_k_of_all_values_truncates_nothing(student, seed):
    """top_k = K, or more, leaves the law as it is."""
    logits = torch.tensor([1.0, 0.5, 0.5])  # whoever cuts one value off misses 0.27 of the law
    model = model_of(student, constant_network(logits, m=1))
    for top_k in (3, 7):
        draws = draws_of(student, model, 1, student.generator(seed + top_k), top_k=top_k)
        assert_follows_pmf(_first_pixels(draws), logits.double().softmax(dim=0), effect=0.2, first=192)


def _images_of_two_colours(draws):
    return lambda n: outcome_index(draws(n), 2)


def _first_pixels(draws):
    return lambda n: draws(n)[:, 0]
