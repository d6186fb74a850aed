"""dgm_ref's flows against Jacobians, matrix exponentials, sympy's tableau and scipy's ODE solver."""

from __future__ import annotations

import numpy as np
import scipy.integrate
import torch
from torch.distributions import MultivariateNormal

from dgm_ref.families.flows import reference as ref
from grader.checks.families.shared.flows import (
    base_log_density,
    constant_field,
    coupling_net,
    linear_field,
    power_field,
    scaling_layer,
    tanh_field,
    tanh_layer,
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_coupling_has_the_determinant_of_its_jacobian_and_is_undone():
    for m in (2, 5):
        k = m // 2
        net = coupling_net(normal(m - k, k), normal(m - k, k, seed=1), torch.tensor(1.5).double())
        x = normal(4, m, seed=2)
        z, log_det = ref.affine_coupling(x, net)
        for row, value in zip(x, log_det, strict=True):
            J = torch.autograd.functional.jacobian(lambda r, net=net: ref.affine_coupling(r[None], net)[0][0], row)
            assert torch.allclose(torch.linalg.slogdet(J).logabsdet, value)
        assert torch.allclose(ref.inverse_affine_coupling(z, net), x)


def test_a_flow_has_mass_one():
    layers = [tanh_layer(torch.tensor([0.8]).double()), scaling_layer(torch.tensor([0.4]).double())]
    base = base_log_density(torch.tensor([0.3]).double(), torch.tensor([1.2]).double())
    mass, _ = scipy.integrate.quad(lambda x: ref.flow_log_prob(layers, base, torch.tensor([[x]]).double()).exp().item(), -20, 20)
    assert abs(mass - 1) < 1e-7


def test_runge_kutta_is_the_taylor_polynomial_of_the_matrix_exponential():
    A, x = normal(3, 3), normal(2, 3, seed=1)
    for t0, t1 in ((0.0, 0.7), (0.7, 0.1)):
        h = t1 - t0
        powers = [torch.linalg.matrix_power(h * A, k) for k in range(5)]
        polynomial = sum(p / f for p, f in zip(powers, (1, 1, 2, 6, 24), strict=True))
        assert torch.allclose(ref.runge_kutta(constant_field(A), x, t0, t1, 1), x @ polynomial.T, rtol=1e-12)
    far = ref.runge_kutta(constant_field(A), x, 0.0, 1.0, 200)
    assert torch.allclose(far, x @ torch.linalg.matrix_exp(A).T, rtol=1e-7)


def test_runge_kutta_integrates_powers_by_simpsons_rule():
    c, x = torch.ones(1).double(), torch.zeros(1, 1).double()
    got = ref.runge_kutta(power_field(c, 4), x, 0.0, 2.0, 1)
    assert np.isclose(got.item(), scipy.integrate.simpson([0.0, 1.0, 16.0], x=[0.0, 1.0, 2.0]))


def test_divergences_are_traces_of_jacobians():
    f = tanh_field(normal(4, 3), normal(3, 4, seed=1))
    x, v = normal(5, 3, seed=2), normal(2, 5, 3, seed=3)
    J = torch.stack([torch.autograd.functional.jacobian(lambda r: f(0.4, r[None])[0], row) for row in x])
    assert torch.allclose(ref.divergence(f, 0.4, x), J.diagonal(dim1=1, dim2=2).sum(1))
    want = torch.einsum("snj,njk,snk->sn", v, J, v).mean(0)
    assert torch.allclose(ref.hutchinson_divergence(f, 0.4, x, v), want)


def test_the_ode_density_of_a_linear_field_is_gaussian():
    A, b, x = 0.4 * normal(2, 2), normal(2, seed=1), normal(3, 2, seed=2)
    base = base_log_density(torch.zeros(2).double(), torch.ones(2).double())
    transfer = torch.linalg.matrix_exp(1.5 * A)  # of (1 + t) A over [0, 1]
    drift = scipy.integrate.solve_ivp(
        lambda t, y: (1 + t) * (A.numpy() @ y) + t**2 * b.numpy(), (0, 1), np.zeros(2), rtol=1e-11, atol=1e-12
    ).y[:, -1]
    inverse = torch.linalg.inv(transfer)
    covariance = inverse @ inverse.T
    want = MultivariateNormal(-inverse @ torch.tensor(drift), (covariance + covariance.T) / 2).log_prob(x)
    assert torch.allclose(ref.ode_log_prob(linear_field(A, b), base, x, 100), want, rtol=1e-7)
