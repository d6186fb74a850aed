"""dgm_ref's autoregressive images against autograd, sums over all values and scipy's logistic law."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from dgm_ref.families.pixelcnn import reference as ref
from grader.checks.families.shared.image_models import convolutions, shifted_pixels


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("groups", [1, 3])
def test_masked_layers_make_an_autoregressive_network(groups):
    """A first and a second masked layer: the Jacobian in the order (pixel, group) is strictly lower triangular, and full there."""
    C, H = groups, 3
    first = ref.causal_kernel_mask("A", C, 2 * C, 3, groups) * normal(2 * C, C, 3, 3).abs()
    second = ref.causal_kernel_mask("B", 2 * C, C, 3, groups) * normal(C, 2 * C, 3, 3, seed=1).abs()
    model = convolutions([first, second], False)
    J = torch.autograd.functional.jacobian(lambda x: model(x), normal(1, C, H, H, seed=2))
    J = J.reshape(C, H * H, C, H * H).permute(1, 0, 3, 2).reshape(H * H * C, H * H * C)
    assert torch.equal(J, J.tril(-1))
    assert (J[1:].diagonal() > 0).sum() >= (H - 1) * H * C  # the one just before is seen, but across the ends of rows


def test_receptive_fields_of_shifts_and_of_products():
    x, w = normal(1, 2, 4, 5), normal(3, 2, seed=1)
    for down, right, place in ((1, 2, (1, 2)), (0, 0, (2, 4)), (-1, -1, (3, 5))):
        found = ref.receptive_field(shifted_pixels(down, right, w), x, 2, 4)
        want = torch.zeros(4, 5, dtype=torch.bool)
        if place[0] < 4 and place[1] < 5:
            want[place] = True
        assert torch.equal(found, want)
    gradient = torch.autograd.functional.jacobian(convolutions([normal(2, 2, 3, 3), normal(2, 2, 3, 3, seed=5)], True), x)
    want = (gradient[0, :, 2, 4] != 0).flatten(0, 2).any(0)
    assert torch.equal(ref.receptive_field(convolutions([normal(2, 2, 3, 3), normal(2, 2, 3, 3, seed=5)], True), x, 2, 4), want)


def test_mixtures_sum_to_one_and_are_scipys_where_scipy_can():
    K, M = 16, 3
    log_weights, means = torch.log_softmax(normal(1, M), 1), 8 + 6 * normal(1, M, seed=1)
    for scale in (0.3, 3.0, 40.0):
        log_scales = torch.full((1, M), np.log(scale)).double()
        x = torch.arange(K)
        got = ref.logistic_mixture_log_prob(x, *(one.expand(K, M) for one in (log_weights, means, log_scales)), K)
        edges = np.concatenate([[-np.inf], np.arange(K - 1) + 0.5, [np.inf]])
        cdf = scipy.stats.logistic.cdf(edges[:, None], means.numpy(), scale)
        want = np.log((log_weights.exp().numpy() * np.diff(cdf, axis=0)).sum(1))
        assert np.allclose(got, want, rtol=1e-7)
        assert np.isclose(scipy.special.logsumexp(got), 0.0, atol=1e-12)
