"""ImageGPT on a GPU: the same model, on the model's device throughout, as accurate as its dtype and worth its cache.

Every check runs on a CPU as well, small: `LARGE` is for a GPU, `SMALL` for the kit's own tests. The fixture `device` says
which.
"""

from dataclasses import dataclass

import pytest
import torch

from grader.checking.compare import Mismatch, assert_agrees, assert_form
from grader.checking.statistics import assert_follows_pmf, outcome_index
from grader.checks.lecture1.imagegpt.draw import model_of, network, patches, telling_network, untrained_network
from grader.checks.lecture1.imagegpt.gpu_helpers import (
    bytes_of_sampling,
    device_generator,
    device_logits,
    device_samples,
    host_reads_of_decoding,
    seconds_of_completion,
    to_device,
    train_on_device,
)
from grader.checks.lecture1.shared import draw
from grader.exam.gpu_exam import note

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
    length: int  # of the sequences whose memory is measured, and half of it
    steps: int  # of training
    side: int  # of the images that are trained on

    def sizes(self, K=16):
        return {"K": K, "m": self.m, "e": self.e, "num_layers": self.num_layers, "num_heads": self.num_heads}


LARGE = Scale(m=784, e=64, num_layers=8, num_heads=8, n=64, new=16, length=784, steps=400, side=28)
SMALL = Scale(m=256, e=16, num_layers=2, num_heads=4, n=2, new=16, length=128, steps=60, side=8)


@weight(0.25)
def test_logits_on_the_device_agree_in_single_precision(student, ref, seed, device):
    """In float32 the logits lie on the model's device and agree with the float64 reference as closely as float32 allows."""
    _assert_logits_agree(student, ref, seed, device, "highest")


@weight(0.25)
def test_logits_on_the_device_agree_under_autocast(student, ref, seed, device):
    """Under bfloat16 autocast the logits agree with the float64 reference as closely as bfloat16 allows."""
    _assert_logits_agree(student, ref, seed, device, "bfloat16")


def _assert_logits_agree(student, ref, seed, device, mode):
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
    note(
        f"logits, {mode}",
        f"largest error {error.max():.2g}, rms {rms:.2g}; an accepted run {accepted_error.max():.2g}, {accepted_rms:.2g}",
    )
    if not (error.max() <= CAP[mode] and rms <= 4 * accepted_rms + 1e-7):
        raise Mismatch(
            "value",
            f"logits are off by up to {error.max():.2g} (rms {rms:.2g}), expected rms {accepted_rms:.2g} in {mode}",
            got,
            want,
        )


@weight(0.25)
def test_samples_on_the_device_follow_the_joint_law(student, ref, seed, device):
    """Drawn with a generator of the device, cached or not, images lie on the device and follow p_theta."""
    net = telling_network(ref.joint_pmf, ref.mistaken_joint_pmfs, seed, 3)
    model = _model(student, net, device)
    for use_cache in (True, False):
        generator = student.run(device_generator, seed % 2**31, device)

        def draws(n, generator=generator, use_cache=use_cache):
            x, where, _ = student.run(device_samples, model, n, 3, generator, use_cache)
            _assert_device(where, device, "the samples are")
            assert_form(x, (n, 3), torch.int64)
            return outcome_index(x, 2)

        verdict = assert_follows_pmf(draws, ref.joint_pmf(net.weights, net.num_heads, 3), effect=0.2)
        note(f"samples, {'with' if use_cache else 'without'} cache", f"follow the joint law in {verdict.n} draws")


@weight(0.25)
def test_the_generator_of_the_device_decides_the_samples(student, seed, device):
    """The same state gives the same images, another one others, and no global random state moves."""
    model = _model(student, network(seed, K=8, m=32, e=8), device)
    states = seed % 2**31, seed % 2**31, seed % 2**31 + 1
    runs = [student.run(device_samples, model, 8, 32, student.run(device_generator, state, device), True) for state in states]
    for x, _, moved in runs:
        assert_form(x, (8, 32), torch.int64)
        if moved:
            raise Mismatch("trace", "sampling moved a global random state. Draw from the generator you are given.")
    assert_agrees(runs[1][0], runs[0][0], what="a second run from the same state")
    if torch.equal(runs[2][0], runs[0][0]):
        raise Mismatch("law", "another seed gives the very same images: all randomness should come from the generator")


@weight(0.25)
def test_memory_of_cached_sampling_grows_with_the_length_alone(student, seed, device):
    """No tensor of m x m scores is made: what sampling computes at once grows with m, not with its square."""
    scale = _scale(device)
    largest = []
    for m in (scale.length // 2, scale.length):
        model = _model(student, network(seed, **{**scale.sizes(), "m": m, "num_layers": 2}), device)
        tensor, peak = student.run(bytes_of_sampling, model, scale.n, m)
        largest.append(tensor)
        note(
            f"memory, m = {m}",
            f"largest tensor {tensor / 2**20:.2f} MiB" + (f", peak {peak / 2**20:.0f} MiB" if peak else ""),
        )
    if largest[1] > 3 * largest[0]:
        raise Mismatch(
            "value", f"twice the pixels take {largest[1] / largest[0]:.1f} times the memory, expected at most 3 times"
        )


@weight(0.25)
def test_a_cached_step_never_waits_for_the_host(student, seed, device):
    """Decoding a position reads no value back from the device: no .item(), no `if tensor`, no copy to the CPU."""
    net = network(seed, K=8, m=32, e=8)
    model = _model(student, net, device)
    reads = student.run(host_reads_of_decoding, model, student.ImageGPTConfig(**net.sizes), 4, 16)
    note("host reads in 16 cached steps", str(reads))
    if reads:
        raise Mismatch(
            "value",
            f"16 steps of decode read {reads} values back from the device, expected none: each one waits for the GPU",
        )


@weight(0.25)
def test_the_cached_sampler_beats_the_uncached_one(student, seed, device):
    """Drawing one more pixel of an image is at least 3 times faster with the cache than without, on the same device."""
    scale = _scale(device)
    model = _model(student, network(seed, **scale.sizes()), device)
    uncached, cached = (
        student.run(seconds_of_completion, model, scale.n, scale.m, scale.new, use_cache) for use_cache in (False, True)
    )
    ratio = uncached / max(cached, 1e-9)
    note(
        f"the last {scale.new - 1} of {scale.m} pixels of {scale.n} images",
        f"{uncached:.3f} s without, {cached:.3f} s with the cache: {ratio:.1f} times",
    )
    if ratio < RATIO:
        raise Mismatch(
            "value", f"the cache makes the sampler {ratio:.1f} times faster, expected at least {RATIO:g} times"
        )


@weight(0.25)
@pytest.mark.training
def test_it_learns_images_on_the_device(student, seed, device):
    """Trained on patches of photographs, it needs fewer bits than a model of independent pixels."""
    scale = _scale(device)
    training, held_out = patches(scale.side)
    net = untrained_network(
        seed, K=16, m=scale.side**2, e=32 if scale is LARGE else 8, num_layers=4 if scale is LARGE else 1, num_heads=4
    )
    model = _model(student, net, device)
    losses = student.run(
        train_on_device, model, training, scale.steps, 64 if scale is LARGE else 16, 3e-3 if scale is LARGE else 1e-2
    )
    logits, _ = student.run(device_logits, model, held_out[:64], "highest")
    assert_form(logits, (64, scale.side**2, 16), torch.float64)
    nats = -logits.log_softmax(2).gather(2, held_out[:64, :, None]).mean().item()
    counts = torch.stack([(training == k).sum(0) for k in range(16)], dim=1).double() + 1  # (m, K)
    baseline = -(counts / counts.sum(1, keepdim=True)).log().gather(1, held_out[:64].T).mean().item()
    bits, baseline_bits = (value / torch.tensor(2.0).log().item() for value in (nats, baseline))
    note(
        f"training, {scale.steps} steps on {scale.side} x {scale.side} patches",
        f"{bits:.2f} bits per dimension; independent pixels {baseline_bits:.2f}",
    )
    if not losses[-1] < losses[0] or not bits < baseline_bits:
        raise Mismatch(
            "value",
            f"after {scale.steps} steps it needs {bits:.2f} bits per dimension, "
            f"expected fewer than independent pixels ({baseline_bits:.2f})",
        )


def _scale(device):
    return SMALL if device == "cpu" else LARGE


def _model(student, net, device):
    model = model_of(student, net)
    student.run(to_device, model, device)
    return model


def _assert_device(where, device, what):
    if where != device:
        raise Mismatch("device", f"{what} on the device {where}, expected {device}, where the model is")
