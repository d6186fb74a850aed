"""Ancestral sampling with a key/value cache. The blocks of the model are probes, and its law is what its own `forward` says."""

import math
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import Mismatch, assert_agrees, assert_dtype, assert_form, refuses
from grader.checking.statistics import assert_follows_pmf, outcome_index
from grader.checking.student import CannotObserve
from grader.checks.lecture1.imagegpt.draw import (
    constant_network,
    law_of_the_model,
    model_of,
    probed_network,
    telling_network,
)
from grader.checks.lecture1.imagegpt.helpers import elsewhere, get_mode, in_training_mode, positions_computed, set_mode
from grader.checks.lecture1.shared import draw

sample = pytest.mark.exercise("imagegpt.sample")
weight, examples = pytest.mark.weight, pytest.mark.examples

A_TIE = 1e-3  # of two logits: which of them is drawn may fall either way
LIKELIEST: list[dict[str, Any]] = [{"top_k": 1}, {"temperature": 1e-5}, {"temperature": 1e-39}]
AT_FIRST = 256  # images of a call: about half of what refutes every law that is told apart
EFFECT = 0.1  # total variation from a law that is surely seen
PEAK = math.log(255)  # one of 256 colours is as likely as all others together


# -- the law --

KNOWN_LAW = torch.tensor([[[0.068480, 0.179444], [0.111402, 0.139995]], [[0.088278, 0.205003], [0.069276, 0.138122]]])


@sample
@weight(0.25)
def test_samples_of_known_weights_follow_the_law_worked_out(student, seed):
    """Images of three pixels with two colours, with and without the cache: the probabilities of all eight are known."""
    model = model_of(student, known_network())
    law = law_of_the_model(model, KNOWN_LAW.double())
    for use_cache in (False, True):
        draws = _draws(student, model, 3, student.generator(seed), use_cache=use_cache)
        assert_follows_pmf(lambda n, draws=draws: outcome_index(draws(n), 2), law, effect=EFFECT, first=AT_FIRST)


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
    draws = _draws(student, model, 3, student.generator(seed), **how)
    wrong = ref.mistaken_joint_pmfs(net.weights, net.num_heads, 3)
    _assert_follows(lambda n: outcome_index(draws(n), 2), law_of_the_model(model, right), right, wrong)


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
        x = _tokens(student.sample(model, 2 * n, 3, generator, prefix=prefix), 2 * n, 3)
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
    model = model_of(student, constant_network(torch.tensor([PEAK] + [0.0] * 255)))
    for use_cache in (True, False):
        draws = _draws(student, model, 2, student.generator(seed), use_cache=use_cache)
        assert_follows_pmf(_is_the_peak(draws), _at_temperature(1.0), effect=0.06, first=AT_FIRST)


@sample
@weight(0.25)
def test_temperature_divides_the_logits(student, seed):
    """At temperature T pixels are drawn from softmax(logits / T): outcome 1 is the one likely colour among 256."""
    model = model_of(student, constant_network(torch.tensor([PEAK] + [0.0] * 255)))
    for temperature in (1.1, 0.9, 2.0, 1e30):
        draws = _draws(student, model, 2, student.generator(seed), temperature=temperature)
        named = {
            "ignores_the_temperature": _at_temperature(1.0),
            "multiplies_by_the_temperature": _at_temperature(1 / temperature),
        }
        assert_follows_pmf(
            _is_the_peak(draws), _at_temperature(temperature), effect=EFFECT, named=named, first=AT_FIRST
        )


def _at_temperature(temperature):
    """The probabilities of not being, and of being, the one colour with log-odds log 255 against each of the others."""
    peak = 1 / (1 + 255 * math.exp(-PEAK / temperature))
    return torch.tensor([1 - peak, peak], dtype=torch.float64)


def _is_the_peak(draws):
    return lambda n: (draws(n)[:, 1] == 0).long()


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
    net = probed_network(seed, K=5, m=5, e=4, dtype=torch.float64)
    _assert_likeliest(student, net, draw.integers((8, t), key, high=5), key, {**how, "use_cache": use_cache})


@sample
@weight(0.0625)
def test_the_coldest_temperature_takes_the_likeliest_value(student, seed):
    """A temperature of 1e-39 is positive, though a float32 divided by it overflows: it picks out the largest logit."""
    net = probed_network(1, K=5, m=5, e=4)
    _assert_likeliest(student, net, draw.integers((8, 1), 0, high=5), seed, {"temperature": 1e-39})


def _assert_likeliest(student, net, prefix, seed, how):
    """Each pixel after the prefix is the likeliest of its own model's logits."""
    n, t, m, K = *prefix.shape, net.sizes["m"], net.sizes["K"]
    model = model_of(student, net)
    x = _tokens(student.sample(model, n, m, student.generator(seed), prefix=prefix, **how), n, m)
    assert_agrees(x[:, :t], prefix, what="the part of the result that was given")
    outcome_index(x, K)  # values lie in 0..K-1
    logits = model(x)
    assert_form(logits, (n, m, K), what="what your model's forward gives")
    behind = logits.amax(dim=2) - logits.gather(2, x[..., None])[..., 0]
    behind[:, :t] = 0
    if (behind > A_TIE).any():  # a tie, or nearly one, may fall either way
        i, j = (int(index) for index in (behind > A_TIE).nonzero()[0])
        likeliest = logits[i, j].argmax().item()
        raise Mismatch(
            "value",
            f"pixel {j} after {x[i, :j].tolist()} is {x[i, j].item()}, though your model finds another value likelier",
            x,
            expected=str(likeliest),
        )


@sample
@weight(0.25)
def test_top_k_keeps_exactly_k_values(student, seed):
    """Of logits 2, 1, 1, 1, 0, -1 and top_k = 2, the 2 and one of the tied 1s remain, at any temperature."""
    model = model_of(student, constant_network(torch.tensor([2.0, 1.0, 1.0, 1.0, 0.0, -1.0])))
    for temperature in (1.0, 0.5):
        draws = _draws(student, model, 2, student.generator(seed), top_k=2, temperature=temperature)
        e = math.exp(1 / temperature)
        mass = lambda first, rest: torch.tensor([first, rest]) / (first + rest)  # noqa: E731
        wrong = {
            "keeps_all_that_are_tied": mass(e, 3.0),
            "ignores_top_k": mass(e, 3 + 1 / e + 1 / e**2),
            "keeps_one_value_more": mass(e, 2.0),
        }
        assert_follows_pmf(
            lambda n, draws=draws: (draws(n)[:, 1] != 0).long(), mass(e, 1.0), effect=0.1, named=wrong, first=AT_FIRST
        )


@sample
@weight(0.125)
def test_top_k_of_all_values_truncates_nothing(student, seed):
    """top_k = K, or more, leaves the law as it is."""
    logits = torch.tensor([1.0, 0.5, 0.5])  # whoever cuts one value off misses 0.27 of the law
    model = model_of(student, constant_network(logits, m=1))
    for top_k in (3, 7):
        draws = _draws(student, model, 1, student.generator(seed + top_k), top_k=top_k)
        assert_follows_pmf(lambda n, draws=draws: draws(n)[:, 0], logits.double().softmax(dim=0), effect=0.2, first=192)


# -- what else a row of the table names --

FAIR = constant_network(torch.zeros(4), m=32)  # of 4^30 images after two pixels no two agree in 256, but for 3e-14


@sample
@weight(0.25)
def test_images_of_a_batch_are_independent(student, seed):
    """Among 256 images of 32 fair pixels no two are equal, and no two are each other's negatives: 4^30 are possible."""
    model, same = model_of(student, FAIR), draw.integers((1, 2), seed, high=4).expand(256, 2)
    for how in ({"use_cache": True}, {"use_cache": False}, {"prefix": same.contiguous()}):
        x = _draws(student, model, 32, student.generator(seed), **how)(256)[:, 2:]
        if len(x.unique(dim=0)) < 256:
            raise Mismatch(
                "law", "two images of a batch are equal, though each pixel is fair: they share their noise", x
            )
        if len(torch.cat([x, 3 - x]).unique(dim=0)) < 512:
            raise Mismatch("law", "two images of a batch are each other's negatives: they share their noise", x)


@sample
@weight(0.0625)
def test_sampling_reads_its_generator(student, seed):
    """The same state gives the same images; the next call, and another seed, give others."""
    model, n, m = model_of(student, FAIR), 4, 32
    generator = student.generator(seed)
    for use_cache in (True, False):
        again = student.sample(model, n, m, student.generator(seed), use_cache=use_cache)
        once = student.sample(model, n, m, student.generator(seed), use_cache=use_cache)
        first = student.sample(model, n, m, generator, use_cache=use_cache)
        for x in (again, once, first):
            assert_form(x, (n, m))
        if not torch.equal(again, once):
            raise Mismatch("law", "two runs from the same state of the generator differ: draw from it alone")
        for name, g in (("the next call with the generator", generator), ("another seed", student.generator(seed + 1))):
            if torch.equal(first, student.sample(model, n, m, g, use_cache=use_cache)):
                raise Mismatch(
                    "law", f"{name} gives the very same images: all randomness should come from the generator"
                )


@sample
@weight(0.125)
def test_a_prefix_may_be_empty_or_whole_and_everything_single(student, seed):
    """No pixel given, or all of them; one image, one pixel, one colour; with the cache and without."""
    model, one = (model_of(student, probed_network(seed % 2**31, K=K, m=4, num_layers=1)) for K in (3, 1))
    prefix = draw.integers((2, 3), seed, high=3)
    for use_cache in (True, False):
        how = {"use_cache": use_cache}
        whole = student.sample(model, 2, 3, student.generator(seed), prefix=prefix, **how)
        assert_agrees(whole, prefix, what="the result for a prefix that leaves nothing to draw")
        for n, m, given_pixels in ((2, 3, prefix[:, :0]), (1, 4, prefix[:1]), (1, 1, None), (2, 4, prefix)):
            x = _tokens(student.sample(model, n, m, student.generator(seed), prefix=given_pixels, **how), n, m)
            outcome_index(x, 3)
            if given_pixels is not None:
                kept = x[:, : given_pixels.shape[1]]
                assert_agrees(kept, given_pixels, what="the part of the result that was given")
        colour = student.sample(one, 1, 1, student.generator(seed), **how)
        assert_agrees(colour, torch.tensor([[0]]), what="one image of one pixel with one colour")


@sample
@weight(0.0625)
def test_images_are_int64(student, seed):
    """Tokens are int64, as every index in torch."""
    assert_dtype(student.sample(model_of(student, FAIR), 2, 3, student.generator(seed)), torch.int64)


@sample
@weight(0.0625)
def test_a_large_image_is_drawn_as_a_small_one(student, seed):
    """An image of 40 pixels, from nothing and after 20 given ones: each pixel is the likeliest after all before it."""
    net = probed_network(4, K=5, m=40, e=4, num_layers=1, dtype=torch.float64)
    for t, use_cache in ((0, True), (20, False)):
        _assert_likeliest(student, net, draw.integers((2, t), 0, high=5), seed, {"top_k": 1, "use_cache": use_cache})


@sample
@weight(0.0625)
def test_sampling_with_a_cache_computes_every_position_once(student, seed):
    """With the cache the blocks see each position once, or nearly so; a pass for every pixel would be three times as many."""
    n, m = 2, 5
    for t in (0, 2):
        model = model_of(student, probed_network(seed, K=3, m=m, num_layers=1))
        student.sample(model, n, m, student.generator(seed), prefix=draw.integers((n, t), seed, high=3))
        computed = max(student.run(positions_computed, model))
        if computed > 2 * n * m:
            raise Mismatch(
                "value",
                f"to draw {m} pixels of {n} images after {t} given ones a block computes {computed} positions, not {n * m}: "
                "feed the network only the positions that are not in the cache yet",
            )


@sample
@weight(0.0625)
def test_the_model_samples_in_eval_mode_and_gets_its_mode_back(student, seed):
    """While it samples the model is in eval mode; afterwards `model.training` is what it was."""
    for training in (True, False):
        model = model_of(student, probed_network(seed, m=3))
        student.run(set_mode, model, training)
        student.sample(model, 2, 3, student.generator(seed))
        if student.run(in_training_mode, model):
            raise Mismatch(
                "trace", "the model samples in training mode, where dropout would be active: call model.eval() first"
            )
        if student.run(get_mode, model) is not training:
            raise Mismatch("trace", f"model.training was {training} before sampling and is {not training} after it")


@sample
@weight(0.0625)
@examples(1)
@given(seed=draw.seeds, key=draw.seeds)
def test_sampling_refuses_arguments_that_make_no_sense(student, seed, key):
    """A temperature of zero or less, no values to keep, and a prefix longer than the image raise a ValueError."""
    model, generator = model_of(student, probed_network(seed, K=3, m=4, num_layers=1)), student.generator(key)
    longer = draw.integers((2, 3), key, high=3)
    for how in ({"temperature": 0.0}, {"temperature": -1.0}, {"top_k": 0}, {"prefix": longer}):
        with refuses():
            student.sample(model, 2, 2, generator, **how)


@sample
@weight(0.0625)
def test_sampling_stays_on_the_device_of_the_model(student, seed):
    """The buffer of pixels and all else are made where the model is, whatever that device is."""
    model, prefix = model_of(student, probed_network(seed, K=3, m=3, num_layers=1)), draw.integers((2, 1), seed, high=3)
    student.sample(model, 2, 3, student.generator(seed), prefix=prefix)  # what fails here fails for another reason
    for use_cache, m in ((True, 3), (False, 2)):  # the first pixel after the prefix, and one that finds it in the cache
        arguments = model, 2, m, student.generator(seed), 0.7, 2, prefix, use_cache
        problem = student.run(elsewhere, model, "sample", *arguments)
        if problem is None:
            raise CannotObserve("where this function computes cannot be seen without a GPU")
        if problem:
            raise Mismatch("device", f"with the model on another device, {problem}. Give `device=` to what you make.")


def _draws(student, model, m, generator, **how):
    """n images of m pixels as a function of n, each call checked for its form."""
    return lambda n: _tokens(student.sample(model, n, m, generator, **how), n, m)


def _tokens(x, n, m):
    """Images as whole numbers; whether they came as int64 is the business of a check of its own."""
    assert_form(x, (n, m))
    return x.long() if x.dtype != torch.bool and bool((x == x.long()).all()) else x
