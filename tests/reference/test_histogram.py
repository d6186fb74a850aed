"""The reference of the histogram, confirmed by numpy, scipy, torch.distributions and brute enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
import torch
from torch.distributions import Categorical

from dgm_ref.lecture1.histogram import reference as ref


def integers(n: int, high: int, seed: int) -> torch.Tensor:
    return torch.randint(high, (n,), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "K"), [(1, 1), (1, 5), (7, 3), (100, 6)])
def test_fit_is_numpys_histogram(n, K):
    x = integers(n, K, seed=n)
    density, _ = np.histogram(x.numpy(), bins=np.arange(K + 1) - 0.5, density=True)
    got = ref.fit_histogram(x, K)
    assert got.dtype == torch.float64
    np.testing.assert_allclose(got.numpy(), density, rtol=1e-15)


def test_fit_is_the_most_likely_pmf():
    x = integers(50, 4, seed=0)
    fitted = Categorical(ref.fit_histogram(x, 4)).log_prob(x).sum()
    others = torch.distributions.Dirichlet(torch.ones(4, dtype=torch.float64)).sample((1000,))
    assert all(Categorical(other).log_prob(x).sum() < fitted for other in others)


def test_log_prob_is_scipys():
    pi, x = torch.tensor([0.5, 0.0, 0.125, 0.375], dtype=torch.float64), torch.tensor([0, 3, 2, 1, 1])
    law = scipy.stats.rv_discrete(values=(np.arange(4), pi.numpy()))
    np.testing.assert_allclose(ref.histogram_log_prob(pi, x).numpy(), law.logpmf(x.numpy()), rtol=1e-15)


@pytest.mark.parametrize(("n", "K", "C"), [(1, 1, 1), (6, 3, 4), (200, 4, 3)])
def test_conditional_fit_is_a_normalised_contingency_table(n, K, C):
    x, y = integers(n, K, seed=1), integers(n, C, seed=2)
    table, _, _ = np.histogram2d(y.numpy(), x.numpy(), bins=[np.arange(C + 1) - 0.5, np.arange(K + 1) - 0.5])
    with np.errstate(invalid="ignore"):
        want = table / table.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ref.fit_conditional_histogram(x, y, K, C).numpy(), want, rtol=1e-15)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 7, None])
@pytest.mark.parametrize("m", [1, 2, 4])
@pytest.mark.parametrize("K", [1, 2, 3])
def test_parameters_are_the_free_numbers_of_the_enumerated_tables(m, K, order):
    """Every row of a table that some sequence reads, less one number a row for normalisation."""
    rows = {
        (j, sequence[0 if order is None else max(0, j - order) : j]) for sequence in itertools.product(range(K), repeat=m) for j in range(m)
    }
    assert ref.num_parameters(m, K, order) == len(rows) * (K - 1)


@pytest.mark.parametrize("order", [0, 1, 2, None])
def test_parameters_are_the_dimension_of_the_model(order):
    """The rank of the map from tables to joints at a generic point: how many numbers the model really has."""
    m, K = 3, 2
    generator = torch.Generator().manual_seed(0)
    rows = [K**j if order is None else K ** min(j, order) for j in range(m)]
    tables = [torch.rand(count, generator=generator, dtype=torch.float64) for count in rows]

    def joint(*tables: torch.Tensor) -> torch.Tensor:
        probabilities = []
        for sequence in itertools.product(range(K), repeat=m):
            p = torch.ones((), dtype=torch.float64)
            for j, (value, table) in enumerate(zip(sequence, tables, strict=True)):
                context = sequence[0 if order is None else max(0, j - order) : j]
                one = 0.2 + 0.6 * table[sum(bit << i for i, bit in enumerate(context))]  # the probability of a 1
                p = p * (one if value else 1 - one)
            probabilities.append(p)
        return torch.stack(probabilities)

    jacobian = torch.cat(torch.autograd.functional.jacobian(joint, tuple(tables)), dim=1)  # (K^m, parameters)
    assert ref.num_parameters(m, K, order) == torch.linalg.matrix_rank(jacobian)


def test_binary_mnist_is_the_slides():
    assert ref.num_parameters(784, 2, None) == 2**784 - 1
    assert ref.num_parameters(784, 2, 0) == 784
    assert ref.num_parameters(784, 2, 1) == 1567
