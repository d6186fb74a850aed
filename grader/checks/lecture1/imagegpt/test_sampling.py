"""Ancestral sampling: independent images, the generator, the cache, modes, arguments. The blocks of the model are probes."""

from typing import Any

import pytest
import torch
from hypothesis import given

from grader.checking.compare import Mismatch, assert_agrees, assert_dtype, assert_form, assert_unchanged, refuses
from grader.checking.statistics import assert_repeats_are_those_of_chance, assert_streams_differ, outcome_index
from grader.checking.student import CannotObserve
from grader.checks.lecture1.imagegpt.draw import (
    constant_network,
    model_of,
    probed_network,
)
from grader.checks.lecture1.imagegpt.helpers import elsewhere, get_mode, in_training_mode, positions_computed, set_mode
from grader.checks.lecture1.imagegpt.sampled import assert_likeliest, draws_of, tokens_of
from grader.checks.lecture1.shared import draw

sample = pytest.mark.exercise("imagegpt.sample")
weight, examples = pytest.mark.weight, pytest.mark.examples

K, M = 32, 14  # of 32^12 images after two pixels no two agree in 256, but for 3e-14
FAIR = constant_network(torch.zeros(K), M)
COLOURS = 4096  # of which 24 pixels hardly share any


@sample
@weight(0.25)
def test_images_of_a_batch_are_independent(student, seed):
    """Among 256 images of 14 fair pixels no two are equal, and no two are each other's negatives: 32^12 are possible.

    Among 24 images of two pixels of 4096 colours hardly two share a pixel, in the same place or not.
    """
    model, same = model_of(student, FAIR), draw.integers((1, 2), seed, high=K).expand(256, 2)
    for how in ({"use_cache": True}, {"use_cache": False}, {"prefix": same.contiguous()}):
        x = draws_of(student, model, M, student.generator(seed), **how)(256)[:, 2:]
        if len(x.unique(dim=0)) < 256:
            raise Mismatch("law", "two images of a batch are equal, though each pixel is fair: they share their noise", x)
        if len(torch.cat([x, K - 1 - x]).unique(dim=0)) < 512:
            raise Mismatch("law", "two images of a batch are each other's negatives: they share their noise", x)
        if not (x[:128] == x[128:]).any():  # 48 of 1536 pixels agree by chance
            raise Mismatch("law", "no image agrees in any pixel with the one half a batch further down: they share their noise", x)
    fair = model_of(student, constant_network(torch.zeros(COLOURS), 2))
    x = draws_of(student, fair, 2, student.generator(seed))(24)
    for which, pixels in (("first", x[:, 0]), ("second", x[:, 1]), ("first and second", x.flatten())):
        assert_repeats_are_those_of_chance(pixels, COLOURS, what=f"{which} pixels")


@sample
@weight(0.0625)
def test_sampling_reads_its_generator(student, seed):
    """The same state gives the same images; the next call, and another seed, give others; so does a call for one image."""
    model, n, m = model_of(student, FAIR), 4, 3  # two calls agree by chance once in 32^12 times
    generator = student.generator(seed)
    alone = [student.sample(model, 1, m, generator) for _ in range(5)]  # and five for one image as often
    if all(torch.equal(alone[0], other) for other in alone):
        raise Mismatch("law", "five calls for a single image give the same one: it is not drawn", alone[0])
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
                raise Mismatch("law", f"{name} gives the very same images: all randomness should come from the generator")
    assert_streams_differ(lambda like: student.sample(model, n, m, student.generator(like)))


@sample
@weight(0.125)
def test_a_prefix_may_be_empty_or_whole_and_everything_single(student, seed):
    """No pixel given, or all of them; one image, one pixel, one colour; with the cache and without."""
    model, one = (model_of(student, probed_network(seed % 2**31, K=K, m=4, num_layers=1)) for K in (3, 1))
    prefix, fair = draw.integers((2, 3), seed, high=3), model_of(student, FAIR)
    for use_cache in (True, False):
        how = {"use_cache": use_cache}
        whole = student.sample(model, 2, 3, student.generator(seed), prefix=prefix, **how)
        assert_agrees(whole, prefix, what="the result for a prefix that leaves nothing to draw")
        for n, m, given_pixels in ((2, 3, prefix[:, :0]), (1, 4, prefix[:1]), (1, 1, None), (2, 4, prefix)):
            x = tokens_of(student.sample(model, n, m, student.generator(seed), prefix=given_pixels, **how), n, m)
            outcome_index(x, 3)
            if given_pixels is not None:
                kept = x[:, : given_pixels.shape[1]]
                assert_agrees(kept, given_pixels, what="the part of the result that was given")
        x = student.sample(fair, 16, 2, student.generator(seed), prefix=prefix[:1, :0].expand(16, 0).contiguous(), **how)
        if (x == x[:1]).all():
            raise Mismatch("law", "with an empty prefix all 16 images are the same, though each pixel is fair", x)
        colour = student.sample(one, 1, 1, student.generator(seed), **how)
        assert_agrees(colour, torch.tensor([[0]]), what="one image of one pixel with one colour")


@sample
@weight(0.021)
def test_images_are_int64(student, seed):
    """Tokens are int64, as every index in torch."""
    assert_dtype(student.sample(model_of(student, FAIR), 2, 3, student.generator(seed)), torch.int64)


@sample
@weight(0.0625)
def test_a_large_image_is_drawn_as_a_small_one(student, seed):
    """An image of 40 pixels, from nothing and after 20 given ones: each pixel is the likeliest after all before it."""
    net = probed_network(4, K=5, m=40, e=4, num_layers=1, dtype=torch.float64)
    for t, use_cache in ((0, True), (20, False)):
        assert_likeliest(student, net, draw.integers((2, t), 0, high=5), seed, {"top_k": 1, "use_cache": use_cache})


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
    """While it samples the model is in eval mode; afterwards `model.training`, weights and prefix are what they were."""
    for training, use_cache in ((True, True), (False, True), (True, False)):
        model = model_of(student, probed_network(seed, m=3))
        student.run(set_mode, model, training)
        called = student.sample.observed(model, 2, 3, student.generator(seed), prefix=torch.tensor([[1], [2]]), use_cache=use_cache)
        if student.run(in_training_mode, model):
            raise Mismatch("trace", "the model samples in training mode, where dropout would be active: call model.eval() first")
        if student.run(get_mode, model) is not training:
            raise Mismatch("trace", f"model.training was {training} before sampling and is {not training} after it")
        assert_unchanged(called)
        student.sample(model, 2, 2, student.generator(seed), prefix=torch.tensor([[1, 0], [2, 1]]))  # which leaves nothing to draw
        if student.run(get_mode, model) is not training:
            raise Mismatch("trace", f"model.training was {training} before a call that has nothing to draw and is {not training} after it")


@sample
@weight(0.0625)
@examples(1)
@given(seed=draw.seeds, key=draw.seeds)
def test_sampling_refuses_arguments_that_make_no_sense(student, seed, key):
    """A temperature of zero or less, no values to keep, and a prefix longer than the image raise a ValueError."""
    model, generator = model_of(student, probed_network(seed, K=3, m=4, num_layers=1)), student.generator(key)
    longer = draw.integers((2, 3), key, high=3)
    without_cache: list[dict[str, Any]] = [{"prefix": longer, "use_cache": False}, {"top_k": -1, "use_cache": False}]
    for how in ({"temperature": 0.0}, {"temperature": -1.0}, {"top_k": 0}, {"prefix": longer}, *without_cache):
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
