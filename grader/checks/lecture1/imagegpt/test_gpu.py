"""ImageGPT on a GPU: the same model, on the model's device throughout, as accurate as its dtype and worth its cache.

Every check runs on a CPU as well, small: `LARGE` is for a GPU, `SMALL` for the kit's own tests. The fixture `device` says
which.
"""

from dataclasses import dataclass

import pytest
import torch

from grader.checking.compare import Mismatch, assert_form
from grader.checking.statistics import assert_follows_pmf, outcome_index
from grader.checks.lecture1.imagegpt.draw import model_of, network, telling_network
from grader.checks.lecture1.imagegpt.gpu_helpers import (
    device_generator,
    device_logits,
    device_samples,
    seconds_of_completion,
    to_device,
)
from grader.checks.lecture1.shared import draw

pytestmark = [pytest.mark.exercise("imagegpt.gpu"), pytest.mark.gpu, pytest.mark.seconds(300)]
weight = pytest.mark.weight

CAP = {"highest": 1e-4, "bfloat16": 0.25}  # of a logit with root mean square near 1; 14 and 4 times what a CPU showed
RATIO = 3.0  # by which the cache must win; 29 to 48 were measured on a CPU


@dataclass(frozen=True)
class Scale:
    """Sizes of the networks, large enough for a GPU to be busy or small enough for a test."""

    m: int
    e: int
    num_layers: int
    num_heads: int
    n: int  # images that are drawn together
    new: int  # pixels drawn in the race of the samplers

    def sizes(self, K=16):
        return {"K": K, "m": self.m, "e": self.e, "num_layers": self.num_layers, "num_heads": self.num_heads}


LARGE = Scale(m=784, e=64, num_layers=8, num_heads=8, n=64, new=16)
SMALL = Scale(m=128, e=16, num_layers=2, num_heads=4, n=8, new=32)


@weight(0.5)
def test_logits_on_the_device_agree_in_single_precision(student, ref, seed, device, figures):
    """In float32 the logits lie on the model's device and agree with the float64 reference as closely as float32 allows."""
    _assert_logits_agree(student, ref, seed, device, "highest", figures)


@weight(0.5)
def test_logits_on_the_device_agree_under_autocast(student, ref, seed, device, figures):
    """Under bfloat16 autocast the logits agree with the float64 reference as closely as bfloat16 allows."""
    _assert_logits_agree(student, ref, seed, device, "bfloat16", figures)


def _assert_logits_agree(student, ref, seed, device, mode, figures):
    net = network(seed, K=16, m=64, e=32 if _scale(device) is LARGE else 4, num_layers=4, num_heads=4)
    model = _model(student, net, device)
    x = draw.integers((2, 64), seed, high=16)
    got, where = student.run(device_logits, model, x, mode)
    _assert_device(where, device, "the logits are")
    want, accepted = (
        ref.forward(net.weights, net.num_heads, x),
        ref.forward_on_device(net.weights, net.num_heads, x, mode, device),
    )
    assert_form(got, want.shape, torch.float64)
    got, want, accepted = (logits.log_softmax(dim=2) for logits in (got, want, accepted))  # constants do not count
    error, accepted_error = (got - want).abs(), (accepted - want).abs()
    rms, accepted_rms = (e.square().mean().sqrt().item() for e in (error, accepted_error))
    figures[f"logits, {mode}"] = (
        f"largest error {error.max():.2g}, rms {rms:.2g}; an accepted run {accepted_error.max():.2g}, {accepted_rms:.2g}"
    )
    if not (error.max() <= CAP[mode] and rms <= 4 * accepted_rms + 1e-7):
        accepted_error = f"rms {accepted_rms:.2g}, as an accepted run has"
        sentence = f"in {mode} logits are off by up to {error.max():.2g} (rms {rms:.2g})"
        raise Mismatch("value", sentence, got, want, expected=accepted_error)


@weight(0.5)
def test_samples_on_the_device_follow_the_joint_law(student, ref, seed, device, figures):
    """Drawn with a generator of the device, cached or not, images lie on the device and follow p_theta."""
    net = telling_network(ref.joint_pmf, ref.mistaken_joint_pmfs, seed, 3, effect=0.1)
    model = _model(student, net, device)
    for use_cache in (True, False):
        generator = student.run(device_generator, seed % 2**31, device)

        def draws(n, generator=generator, use_cache=use_cache):
            x, where = student.run(device_samples, model, n, 3, generator, use_cache)
            _assert_device(where, device, "the samples are")
            assert_form(x, (n, 3), torch.int64)
            return outcome_index(x, 2)

        right = ref.joint_pmf(net.weights, net.num_heads, 3)
        verdict = assert_follows_pmf(draws, right, effect=0.2)
        how = "with" if use_cache else "without"
        figures[f"samples {how} cache"] = f"follow the joint law in {verdict.n} draws"


@weight(0.25)
def test_the_generator_of_the_device_decides_the_samples(student, seed, device):
    """The same state gives the same images, another one others."""
    model = _model(student, network(seed, K=8, m=32, e=8), device)
    states = seed % 2**31, seed % 2**31, seed % 2**31 + 1
    same, again, other = (
        student.run(device_samples, model, 8, 32, student.run(device_generator, state, device), True)[0] for state in states
    )
    for x in (same, again, other):
        assert_form(x, (8, 32))
    if not torch.equal(again, same):
        raise Mismatch("law", "two runs from the same state of the generator differ: draw from it alone")
    if torch.equal(other, same):
        raise Mismatch("law", "another seed gives the very same images: all randomness should come from the generator")


@weight(0.25)
def test_the_cached_sampler_beats_the_uncached_one(student, seed, device, figures):
    """Drawing one more pixel of an image is at least 3 times faster with the cache than without, on the same device."""
    scale = _scale(device)
    model = _model(student, network(seed, **scale.sizes()), device)
    uncached, cached = (student.run(seconds_of_completion, model, scale.n, scale.m, scale.new, use_cache) for use_cache in (False, True))
    ratio = uncached / max(cached, uncached / 1000)  # a difference of two times, which noise can make vanish
    figures[f"the last {scale.new - 1} of {scale.m} pixels of {scale.n} images"] = (
        f"{uncached:.3f} s without, {cached:.3f} s with the cache: {ratio:.1f} times"
    )
    if ratio < RATIO:
        raise Mismatch("value", f"the cache makes the sampler {ratio:.1f} times faster", expected=f"{RATIO:g} times at least")


def _scale(device):
    return SMALL if device == "cpu" else LARGE


def _model(student, net, device):
    model = model_of(student, net)
    student.run(to_device, model, device)
    return model


def _assert_device(where, device, what):
    if where != device:
        raise Mismatch("device", f"{what} on the device {where}", expected=f"{device}, where the model is")
