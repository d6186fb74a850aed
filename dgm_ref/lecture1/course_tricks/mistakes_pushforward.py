"""The pushforward of a pmf: wrong answers, and right ones that look different."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from dgm_ref.catalogue import mistake, variant

PUSHFORWARD = "course_tricks.pushforward_pmf"

_remembered: dict[tuple[int, ...], Tensor] = {}  # by the identity of a tensor


@mistake(
    PUSHFORWARD,
    killed_by="test_masses_that_meet_add_up",
    says="Indexed assignment, out[f] = p or out[f] += p, keeps one of the masses that land on a place. They add up.",
)
def overwrites(p, f, K):
    out = p.new_zeros(K)
    out[f] = p
    return out


@mistake(
    PUSHFORWARD, killed_by="test_masses_that_meet_add_up", says="You take one preimage of every y. Its mass is the sum over all of them."
)
def one_preimage(p, f, K):
    hits = f == torch.arange(K)[:, None]  # (K, S)
    return torch.where(hits.any(dim=1), p[hits.long().argmax(dim=1)], 0.0)


@mistake(
    PUSHFORWARD,
    killed_by="test_masses_that_meet_add_up",
    says="p[f] pulls back: it reads p at f(x). The mass has to travel the other way, from x to f(x).",
)
def pulls_back(p, f, K):
    return p[f.clamp(max=len(p) - 1)]


@mistake(PUSHFORWARD, killed_by="test_masses_that_meet_add_up", says="You count preimages. Each x carries its own mass p(x), not 1/S.")
def counts_preimages(p, f, K):
    return one_hot(f, K).to(p.dtype).mean(dim=0)


@mistake(
    PUSHFORWARD,
    killed_by="test_masses_that_meet_add_up",
    says="You average the masses of the preimages. Probabilities of disjoint events add up.",
)
def averages_preimages(p, f, K):
    hits = one_hot(f, K).to(p.dtype)
    return p @ hits / hits.sum(dim=0).clamp_min(1)


@mistake(
    PUSHFORWARD,
    killed_by="test_masses_that_meet_add_up",
    says="Values of y above the largest f(x) are missing. The pmf has K entries, also where no x arrives.",
)
def as_long_as_the_largest_image(p, f, K):
    return p @ one_hot(f).to(p.dtype)


@mistake(
    PUSHFORWARD,
    killed_by="test_masses_that_meet_add_up",
    says="You give places that no x reaches a little mass. Their probability is zero.",
)
def smooths(p, f, K):
    out = p.new_zeros(K).index_add(0, f, p) + 1e-3
    return out / out.sum()


@mistake(PUSHFORWARD, killed_by="test_tiny_masses_arrive_as_they_are", says="You drop small masses. Every mass arrives, however small.")
def drops_small_masses(p, f, K):
    out = p.new_zeros(K).index_add(0, f, p)
    return torch.where(out < 1e-8, 0.0, out)


@mistake(PUSHFORWARD, killed_by="test_pushforward_of_many_values", says="Your table has a hundred places. y takes any value in 0..K-1.")
def a_hundred_places(p, f, K):
    return p.new_zeros(max(100, K)).index_add(0, f.clamp(max=99), p)[:K]


@mistake(
    PUSHFORWARD, killed_by="test_pushforward_has_the_dtype_of_p", says="You collect in torch.zeros(K), which is float32 whatever p is."
)
def collects_in_float32(p, f, K):
    out = torch.zeros(K)
    for s, k in enumerate(f):
        out[k] += p[s]
    return out


@mistake(
    PUSHFORWARD,
    killed_by="test_pushforward_is_linear_in_p",
    says="The graph is cut: the pmf of y is differentiable in p (torch.bincount is not, adding at indices is).",
)
def without_gradient(p, f, K):
    return torch.bincount(f, weights=p.detach(), minlength=K).to(p.dtype)


@mistake(
    PUSHFORWARD,
    killed_by="test_pushforward_is_linear_in_p",
    says="You normalise the result. The masses sum to one already; dividing by their sum changes the gradient.",
)
def normalises_the_pmf(p, f, K):
    out = p.new_zeros(K).index_add(0, f, p)
    return out / out.sum()


@mistake(
    PUSHFORWARD,
    killed_by="test_pushforward_depends_on_the_masses_alone",
    says="You remember the result by the tensor object. The same tensor may hold other masses at the next call.",
)
def remembers_the_masses(p, f, K):
    return _remembered.setdefault((id(p), p.data_ptr(), len(p), K), p.new_zeros(K).index_add(0, f, p))


@mistake(PUSHFORWARD, killed_by="test_masses_that_meet_add_up", says="You keep the largest of the masses that meet. They add up.")
def largest_preimage(p, f, K):
    return p.new_zeros(K).scatter_reduce(0, f, p, reduce="amax")


@mistake(
    PUSHFORWARD,
    killed_by="test_masses_that_meet_add_up",
    says="You number the values that are hit anew. The mass of s goes to place f(s) itself.",
)
def numbers_the_images_anew(p, f, K):
    return p.new_zeros(K).index_add(0, f.unique(return_inverse=True)[1], p)


@mistake(
    PUSHFORWARD,
    killed_by="test_masses_that_meet_add_up",
    says="The result has a place for each of the S values of x. It has one for each of the K of y.",
)
def as_long_as_p(p, f, K):
    return p.new_zeros(max(len(p), K)).index_add(0, f, p)


@mistake(
    PUSHFORWARD,
    killed_by="test_masses_that_meet_add_up",
    says="Values of y above the largest f(x) are missing where there are more values of x than of y. The pmf has K entries.",
    when=lambda p, f, K: len(p) > K and int(f.max()) < K - 1,
)
def padded_where_x_has_few_values(p, f, K):
    out = p @ one_hot(f).to(p.dtype)
    return torch.nn.functional.pad(out, (0, K - len(out))) if len(p) <= K else out


@variant(PUSHFORWARD)
def product_with_one_hot(p, f, K):
    return p @ one_hot(f, K).to(p.dtype)


@variant(PUSHFORWARD)
def mask_for_every_k(p, f, K):
    return torch.stack([p[f == k].sum() for k in range(K)])


@variant(PUSHFORWARD)
def scatter_add_in_float64(p, f, K):
    return torch.zeros(K, dtype=torch.float64).scatter_add(0, f, p.double()).to(p.dtype)


@variant(PUSHFORWARD)
def index_put_accumulating(p, f, K):
    return torch.zeros(K, dtype=p.dtype).index_put((f,), p, accumulate=True)


@variant(PUSHFORWARD)
def sums_by_einsum(p, f, K):
    return torch.einsum("s,sk->k", p, (f[:, None] == torch.arange(K)).to(p))


@variant(PUSHFORWARD)
def one_mass_at_a_time(p, f, K):
    out = [p.new_zeros(()) for _ in range(K)]
    for mass, k in zip(p, f.tolist(), strict=True):
        out[k] = out[k] + mass
    return torch.stack(out)


@variant(PUSHFORWARD)
def two_nested_loops(p, f, K):
    return torch.stack([sum((p[s] for s in range(len(p)) if int(f[s]) == k), p.new_zeros(())) for k in range(K)])


@variant(PUSHFORWARD)
def scatter_reduce(p, f, K):
    return p.new_zeros(K).scatter_reduce(0, f, p, reduce="sum")
