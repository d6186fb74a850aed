"""The wrong samplers that students write are caught, each within the number of draws stated; right ones are not.

A table of conditionals over 4 values and 3 steps, seeds 0, 1, 2 at the rates of the grader.
"""

import itertools

import pytest
import torch
from torch import Tensor

from grader.checking.compare import Mismatch
from grader.checking.statistics import assert_follows_pmf, assert_uniform, outcome_index

K, M = 4, 3
SEEDS = (0, 1, 2)
TABLES = [2 * torch.randn(*[K] * (t + 1), generator=torch.Generator().manual_seed(t), dtype=torch.float64) for t in range(M)]


def logits(prefix: Tensor, t: int) -> Tensor:
    """(n, t) values to (n, K), the values after x_{1:t}."""
    return TABLES[t][tuple(prefix[:, :t].T)].expand(len(prefix), K).float()


def joint(temperature: float = 1.0) -> Tensor:
    x = torch.tensor(list(itertools.product(range(K), repeat=M)))
    log_p = sum(torch.log_softmax(logits(x, t).double() / temperature, -1)[range(K**M), x[:, t]] for t in range(M))
    return log_p.exp().reshape(K, K, K)


def multinomial(scores: Tensor, g: torch.Generator) -> Tensor:
    return torch.multinomial(torch.softmax(scores, -1), 1, generator=g)[:, 0]


def gumbel_max(scores: Tensor, g: torch.Generator) -> Tensor:
    return (scores - torch.log(-torch.log(torch.rand(scores.shape, generator=g)))).argmax(-1)


def inverse_cdf(scores: Tensor, g: torch.Generator, u: Tensor | None = None) -> Tensor:
    u = torch.rand(len(scores), generator=g) if u is None else u
    cdf = torch.softmax(scores, -1).cumsum(-1)
    return torch.searchsorted(cdf, u[:, None].contiguous())[:, 0].clamp(max=K - 1)


def ancestral(n: int, g: torch.Generator, sees=lambda x, t: x, scores=lambda s, t: s, choose=multinomial) -> Tensor:
    """Ancestral sampling with a hole for each kind of mistake."""
    x = torch.zeros(n, M, dtype=torch.int64)
    for t in range(M):
        x[:, t] = choose(scores(logits(sees(x, t), t), t), g)
    return x


def forget(x: Tensor, j: int) -> Tensor:
    return x.index_fill(1, torch.tensor([max(j, 0)]), 0)


def one_uniform_for_all_steps(n: int, g: torch.Generator) -> Tensor:
    u = torch.rand(n, generator=g)
    return ancestral(n, g, choose=lambda s, g: inverse_cdf(s, g, u))


def one_row_in_ten_copies_the_row_before(n: int, g: torch.Generator) -> Tensor:
    x = ancestral(n, g)
    return torch.where(torch.rand(n, 1, generator=g) < 0.1, x.roll(1, 0), x)


def stratified(n: int, g: torch.Generator) -> Tensor:
    u = (torch.arange(n) + torch.rand(n, generator=g, dtype=torch.float64)) / n
    i = torch.searchsorted(joint().flatten().cumsum(0), u).clamp(max=K**M - 1)[torch.randperm(n, generator=g)]
    return torch.stack(torch.unravel_index(i, (K, K, K)), 1)


def keep_top(k: int):
    return lambda s, t: s.masked_fill(s < s.topk(k, -1).values[:, -1:], -torch.inf)


def shared_uniform(s: Tensor, g: torch.Generator) -> Tensor:
    return inverse_cdf(s, g, torch.rand(1, generator=g).expand(len(s)))


RIGHT = {f.__name__: f for f in (multinomial, gumbel_max, inverse_cdf)}
WRONG = {  # name: (sampler, draws within which it must be caught)
    "ignores the last value": (lambda n, g: ancestral(n, g, sees=lambda x, t: forget(x, t - 1)), 128),
    "ignores it at the last step": (lambda n, g: ancestral(n, g, sees=lambda x, t: forget(x, 1) if t == 2 else x), 128),
    "one step behind": (lambda n, g: ancestral(n, g, scores=lambda s, t: s.roll(1, 0)), 192),
    "values shifted by one": (lambda n, g: (ancestral(n, g) + 1) % K, 128),
    "inverted temperature": (lambda n, g: ancestral(n, g, scores=lambda s, t: 2 * s), 288),
    "argmax": (lambda n, g: ancestral(n, g, choose=lambda s, g: s.argmax(-1)), 64),
    "argmax at the last step": (lambda n, g: ancestral(n, g, scores=lambda s, t: 1e4 * s if t == 2 else s), 432),
    "softmax over the batch": (lambda n, g: ancestral(n, g, scores=lambda s, t: torch.softmax(s, 0).log()), 192),
    "softmax twice": (lambda n, g: ancestral(n, g, scores=lambda s, t: torch.softmax(s, -1)), 128),
    "one uniform for the batch": (lambda n, g: ancestral(n, g, choose=shared_uniform), 64),
    "one uniform for all steps": (one_uniform_for_all_steps, 128),
    "the first row's prefix for all": (lambda n, g: ancestral(n, g, sees=lambda x, t: x[:1].expand(n, M)), 128),
    "the prefix of the row before": (lambda n, g: ancestral(n, g, sees=lambda x, t: x.roll(1, 0)), 192),
    "time reversed": (lambda n, g: ancestral(n, g).flip(1), 128),
    "keeps three of four values": (lambda n, g: ancestral(n, g, scores=keep_top(3)), 972),
    "some rows copy the row before": (one_row_in_ten_copies_the_row_before, 1458),
    "too even": (stratified, 648),
    "restarts its noise": (lambda n, g: ancestral(n, torch.Generator().manual_seed(0)), 128),
    "sorted": (lambda n, g: ancestral(n, g).sort(0).values, 128),
}


def check(sample, seed: int, **kwargs) -> int:
    """The number of draws at which the sampler passes."""
    g = torch.Generator().manual_seed(seed)
    return assert_follows_pmf(lambda n: outcome_index(sample(n, g), K), joint(), **kwargs).n


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", RIGHT)
def test_every_right_way_to_draw_passes(name, seed):
    assert check(lambda n, g: ancestral(n, g, choose=RIGHT[name]), seed) <= 8000


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_sampler_is_caught_within_its_draws(name, seed):
    sample, within = WRONG[name]
    drawn = 0

    def counted(n, g):
        nonlocal drawn
        drawn += n
        return sample(n, g)

    with pytest.raises(Mismatch):
        check(counted, seed)
    assert drawn <= within


def test_a_named_temperature_is_caught_and_named():
    named = {"temperature": joint(1.2), "cold": joint(0.8)}
    with pytest.raises(Mismatch) as caught:
        check(lambda n, g: ancestral(n, g, scores=lambda s, t: s / 1.2), 0, effect=0.2, named=named)
    assert caught.value.mistake == "temperature"
    check(ancestral, 0, effect=0.2, named=named)


def test_two_mistakes_with_the_same_law_stay_unnamed():
    with pytest.raises(Mismatch) as caught:
        check(lambda n, g: ancestral(n, g, scores=lambda s, t: s / 1.5), 0, named={"a": joint(1.5), "b": joint(1.5)})
    assert caught.value.mistake is None


# --- continuous: x_j given x_{j-1} is normal, mean .9 x_{j-1} + .5, standard deviation .5 or, after a positive value, 1


def conditional(before: Tensor) -> tuple[Tensor, Tensor]:
    return 0.9 * before + 0.5, 0.5 + 0.5 * (before > 0).double()


def uniforms(x: Tensor) -> Tensor:
    before = torch.cat([torch.zeros(len(x), 1, dtype=torch.float64), x[:, :-1]], 1)
    return torch.distributions.Normal(*conditional(before)).cdf(x)


def gaussian(n: int, g: torch.Generator, sees=lambda x, j: x[:, j - 1], sd=lambda s: s, noise=lambda e: e) -> Tensor:
    x = torch.zeros(n, M, dtype=torch.float64)
    e = noise(torch.randn(n, M, generator=g, dtype=torch.float64))
    for j in range(M):
        mu, sigma = conditional(sees(x, j) if j else torch.zeros(n, dtype=torch.float64))
        x[:, j] = mu + sd(sigma) * e[:, j]
    return x


WRONG_GAUSSIANS = {
    "variance for standard deviation": (dict(sd=lambda s: s**2), 432),
    "standard deviation 1.2 times": (dict(sd=lambda s: 1.2 * s), 2200),
    "no noise": (dict(noise=lambda e: 0 * e), 64),
    "one noise for the batch": (dict(noise=lambda e: e[:1].expand_as(e)), 64),
    "one noise for all steps": (dict(noise=lambda e: e[:, :1].expand_as(e)), 64),
    "ignores the value before": (dict(sees=lambda x, j: 0 * x[:, 0]), 288),
    "looks two steps back": (dict(sees=lambda x, j: x[:, j - 2]), 648),
    "the prefix of the row before": (dict(sees=lambda x, j: x[:, j - 1].roll(1)), 288),
    "antithetic halves": (dict(noise=lambda e: torch.cat([e[: len(e) // 2], -e[: len(e) - len(e) // 2]])), 128),
}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_right_gaussian_sampler_passes(seed):
    g = torch.Generator().manual_seed(seed)
    assert_uniform(lambda n: uniforms(gaussian(n, g)), columns=M, effect=0.15)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", WRONG_GAUSSIANS)
def test_a_wrong_gaussian_sampler_is_caught_within_its_rows(name, seed):
    kwargs, within = WRONG_GAUSSIANS[name]
    g, drawn = torch.Generator().manual_seed(seed), 0

    def draw(n):
        nonlocal drawn
        drawn += n
        return uniforms(gaussian(n, g, **kwargs))

    with pytest.raises(Mismatch):
        assert_uniform(draw, columns=M, effect=0.15)
    assert drawn <= within
