"""dgm_ref's autoregressive models against scipy, torch.distributions and exact fractions."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from dgm_ref.lecture1.autoregressive import reference as ref

WEIGHTS = [[1, 2, 5], [4, 1, 0], [3, 3, 1]]  # of the next value, given the value before it
FIRST = [2, 1, 3]


def chain(x: torch.Tensor) -> torch.Tensor:
    """A Markov chain with whole-number weights, so that every probability is a fraction."""
    rows = torch.tensor([FIRST, *WEIGHTS], dtype=torch.float64)
    before = torch.cat([torch.zeros(len(x), 1, dtype=torch.int64), x[:, :-1] + 1], dim=1)
    return rows[before].log()


def chain_probability(x: tuple[int, ...]) -> Fraction:
    p = Fraction(FIRST[x[0]], sum(FIRST))
    for before, now in itertools.pairwise(x):
        p *= Fraction(WEIGHTS[before][now], sum(WEIGHTS[before]))
    return p


def random_table(m: int, K: int, scale: float, seed: int):
    """Logits that depend on the whole prefix: a fixed random table of its weighted sum."""
    generator = torch.Generator().manual_seed(seed)
    table = scale * torch.randn(m, K**m, K, generator=generator, dtype=torch.float64)

    def conditional(x: torch.Tensor) -> torch.Tensor:
        place = torch.stack([(x[:, :j] * K ** torch.arange(j)).sum(1) for j in range(m)], dim=1)  # (n, m)
        return table[torch.arange(m), place]

    return conditional


def gaussian(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    before = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1].cumsum(1)], dim=1)
    return 0.5 * before - 1, 0.3 * torch.sin(before)


def test_the_joint_is_the_product_of_exact_fractions():
    joint = ref.joint_pmf(chain, 4, 3)
    for x in itertools.product(range(3), repeat=4):
        assert joint[x].item() == pytest.approx(float(chain_probability(x)), rel=1e-14, abs=0)


def test_log_prob_is_the_logarithm_of_exact_fractions():
    x = torch.tensor(list(itertools.product(range(3), repeat=4)))
    p = np.array([float(chain_probability(tuple(row))) for row in x.tolist()])
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(ref.log_prob(chain, x).numpy(), np.log(p), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_log_prob_agrees_with_scipys_log_softmax(scale):
    conditional = random_table(4, 3, scale, seed=0)
    x = ref.all_sequences(4, 3)
    log_pi = scipy.special.log_softmax(conditional(x).numpy(), axis=-1)
    want = np.take_along_axis(log_pi, x.numpy()[..., None], -1)[..., 0].sum(-1)
    np.testing.assert_allclose(ref.log_prob(conditional, x).numpy(), want, rtol=1e-12, atol=1e-12 * scale)


def test_the_score_in_the_logits_is_torchs():
    conditional, x = random_table(3, 3, 2.0, seed=5), ref.all_sequences(3, 3)
    logits = conditional(x).requires_grad_()
    torch.distributions.Categorical(logits=logits).log_prob(x).sum().backward()
    torch.testing.assert_close(ref.log_prob_score(conditional, x), logits.grad, rtol=1e-12, atol=1e-13)


def test_negative_log_likelihood_is_the_mean_over_samples_and_dimensions():
    conditional, x = random_table(3, 3, 2.0, seed=1), ref.all_sequences(3, 3)[::4]
    want = torch.distributions.Categorical(logits=conditional(x)).log_prob(x).mean()
    assert ref.negative_log_likelihood(conditional, x).item() == pytest.approx(-want.item(), rel=1e-13)


def test_the_mistaken_joints_are_laws_and_no_two_of_them_agree():
    conditional = random_table(3, 3, 2.0, seed=2)
    laws = {"right": ref.joint_pmf(conditional, 3, 3), **ref.mistaken_joint_pmfs(conditional, 3, 3)}
    for law in laws.values():
        assert law.sum().item() == pytest.approx(1, rel=1e-13)
    for one, other in itertools.combinations(laws.values(), 2):
        assert (one - other).abs().sum() > 0.02


def test_a_markov_chain_is_remembered_by_its_newest_value():
    laws = ref.mistaken_joint_pmfs(chain, 4, 3)
    torch.testing.assert_close(laws["remembers_only_the_newest_value"], ref.joint_pmf(chain, 4, 3), rtol=1e-13, atol=0)
    first = torch.tensor([2, 1, 3], dtype=torch.float64) / 6
    torch.testing.assert_close(laws["all_at_once"].sum((1, 2, 3)), first)


def test_windows_are_the_sliding_windows_of_numpy():
    x = torch.randint(9, (4, 6), generator=torch.Generator().manual_seed(0))
    for d in (1, 2, 5, 6, 8):
        padded = np.pad(x.numpy(), ((0, 0), (d, 0)), constant_values=9)
        want = np.lib.stride_tricks.sliding_window_view(padded, d, axis=1)[:, :-1]
        np.testing.assert_array_equal(ref.context_windows(x, d, start=9).numpy(), want)


@pytest.mark.parametrize("m", [1, 2, 5])
@pytest.mark.parametrize("d", [0, 1, 2, 4, 5, 9])
def test_the_mask_is_a_difference_of_triangles(m, d):
    want = np.tril(np.ones((m, m)), -1) - np.tril(np.ones((m, m)), -d - 1)
    np.testing.assert_array_equal(ref.context_mask(m, d).numpy(), want.astype(bool))


def test_the_markov_mlp_agrees_with_a_one_hot_matrix_product():
    K, d, embedding_dim, hidden_dim = 3, 2, 4, 5
    shapes = {"embedding.weight": (K + 1, embedding_dim), "mlp.0.weight": (hidden_dim, d * embedding_dim)}
    shapes |= {"mlp.0.bias": (hidden_dim,), "mlp.2.weight": (K, hidden_dim), "mlp.2.bias": (K,)}
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    x = np.array([[0, 2, 1, 1], [2, 2, 0, 1]])
    padded = np.concatenate([np.full((2, d), K), x], axis=1)
    e = np.concatenate([np.eye(K + 1)[padded[:, i : i + 4]] @ weights["embedding.weight"] for i in range(d)], axis=-1)
    a = np.maximum(e @ weights["mlp.0.weight"].T + weights["mlp.0.bias"], 0)
    want = a @ weights["mlp.2.weight"].T + weights["mlp.2.bias"]
    parameters = {name: torch.from_numpy(w) for name, w in weights.items()}
    got = ref.markov_mlp(parameters, torch.from_numpy(x), d)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-12, atol=1e-12)
    gradients = ref.markov_mlp_gradients(parameters, torch.from_numpy(x), d, torch.ones(want.shape))
    np.testing.assert_allclose(gradients["mlp.2.weight"].numpy(), np.tile(a.sum((0, 1)), (K, 1)), rtol=1e-12)
    np.testing.assert_allclose(gradients["mlp.2.bias"].numpy(), np.full(K, x.size))


def test_gaussian_log_prob_agrees_with_scipys_normal():
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mu, log_sigma = (parameter.numpy() for parameter in gaussian(x))
    want = scipy.stats.norm.logpdf(x.numpy(), mu, np.exp(log_sigma)).sum(-1)
    np.testing.assert_allclose(ref.gaussian_log_prob(gaussian, x).numpy(), want, rtol=1e-12)


def test_the_gaussian_score_is_torchs():
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    mu, log_sigma = (parameter.requires_grad_() for parameter in gaussian(x))
    torch.distributions.Normal(mu, log_sigma.exp()).log_prob(x).sum().backward()
    for got, want in zip(ref.gaussian_score(gaussian, x), (mu.grad, log_sigma.grad), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


def test_the_class_posterior_is_bayes_rule_on_the_enumerated_joints():
    models = [random_table(3, 2, 1.5, seed=seed) for seed in (3, 4)]
    prior = torch.tensor([0.3, 0.7], dtype=torch.float64)
    x = ref.all_sequences(3, 2)
    joint = prior * torch.stack([ref.joint_pmf(model, 3, 2).flatten() for model in models], dim=1)
    got = ref.class_posterior(lambda x, y: models[int(y[0])](x), x, prior.log())
    torch.testing.assert_close(got, joint / joint.sum(1, keepdim=True), rtol=1e-12, atol=0)


def test_the_class_posterior_is_finite_where_every_likelihood_underflows():
    logits = torch.tensor([[0.0, -2.0], [0.0, -2.001]], dtype=torch.float64)
    x = torch.ones(1, 784, dtype=torch.int64)
    got = ref.class_posterior(lambda x, y: logits[y][:, None].expand(-1, 784, -1), x, torch.zeros(2))
    log_ratio = 784 * np.subtract(*scipy.special.log_softmax(logits.numpy(), axis=-1)[:, 1])
    np.testing.assert_allclose(got.numpy(), [scipy.special.expit([log_ratio, -log_ratio])], rtol=1e-9)


def test_a_sequence_that_no_class_can_give_has_no_posterior():
    logits = torch.tensor([[0.0, -np.inf], [1.0, -np.inf]], dtype=torch.float64)
    x = torch.tensor([[0, 0], [0, 1]])
    got = ref.class_posterior(lambda x, y: logits[y][:, None].expand(-1, 2, -1), x, torch.zeros(2, dtype=torch.float64))
    assert got[0].tolist() == [0.5, 0.5]
    assert got[1].isnan().all()
