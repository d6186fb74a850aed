"""Wrong answers about the maximum likelihood fit of a Gaussian that students really give, and other right ones."""

from __future__ import annotations

import torch
from torch import Tensor

from dgm_ref.catalogue import EPSILONS, mistake, variant

FORWARD = "divergences.fit_gaussian_forward_kl"

Fit = tuple[Tensor, Tensor]


@mistake(
    FORWARD,
    killed_by="test_the_spreads_by_hand",
    says="You divided by n - 1. That makes the variance unbiased, but the likelihood is largest with n.",
)
def bessel_corrected(x: Tensor) -> Fit:
    return x.mean(0), x.std(0)


@mistake(FORWARD, killed_by="test_the_spreads_by_hand", says="This is the variance. The standard deviation is its square root.")
def variance_of_the_sample(x: Tensor) -> Fit:
    return x.mean(0), x.var(0, correction=0)


@mistake(
    FORWARD,
    killed_by="test_the_spreads_by_hand",
    says="This is the logarithm of the standard deviation, a good parameter, but not what is asked for.",
)
def logarithm_of_sigma(x: Tensor) -> Fit:
    return x.mean(0), x.std(0, correction=0).log()


@mistake(
    FORWARD,
    killed_by="test_the_spreads_by_hand",
    says="All coordinates share one standard deviation. A diagonal Gaussian has one for each.",
)
def one_sigma_for_all(x: Tensor) -> Fit:
    return x.mean(0), (x - x.mean(0)).square().mean().sqrt().expand(x.shape[1])


@mistake(FORWARD, killed_by="test_the_means_by_hand", says="You averaged over the coordinates. The first axis counts the samples.")
def moments_of_each_sample(x: Tensor) -> Fit:
    return x.mean(1), x.std(1, correction=0)


@mistake(
    FORWARD,
    killed_by="test_the_spreads_are_those_of_the_sample",
    says="This is the mean absolute deviation, which fits a Laplace distribution.",
)
def mean_absolute_deviation(x: Tensor) -> Fit:
    return x.mean(0), (x - x.mean(0)).abs().mean(0)


@mistake(
    FORWARD,
    killed_by="test_the_fit_is_accurate_far_from_zero",
    says="The mean of squares minus the square of the mean cancels far from zero. Subtract the mean first.",
)
def one_pass_moments(x: Tensor) -> Fit:
    mu = x.mean(0)
    return mu, (x.square().mean(0) - mu.square()).clamp(min=0).sqrt()


@mistake(FORWARD, killed_by="test_the_sample_stays_as_it_is", says="You centred the caller's sample in place. Work on a copy.")
def sample_centred_in_place(x: Tensor) -> Fit:
    mu = x.mean(0)
    x -= mu
    return mu, x.square().mean(0).sqrt()


@mistake(
    FORWARD,
    killed_by="test_the_means_by_hand",
    says="This is the median, which fits a Laplace distribution. A Gaussian is most likely at the mean.",
)
def median_of_the_sample(x: Tensor) -> Fit:
    return x.median(0).values, x.std(0, correction=0)


@mistake(
    FORWARD,
    killed_by="test_the_fit_counts_every_sample",
    says="You averaged over full batches only: the samples left over at the end count as well.",
)
def last_batch_dropped(x: Tensor) -> Fit:
    x = x[: max(len(x) // 64 * 64, min(len(x), 64))]
    return x.mean(0), x.std(0, correction=0)


@mistake(
    FORWARD,
    killed_by="test_the_spreads_by_hand",
    says="You added a small constant to the variance. A coordinate that is constant has the standard deviation zero.",
    constants=EPSILONS,
)
def epsilon_in_the_variance(x: Tensor, constant: float = 1e-6) -> Fit:
    return x.mean(0), (x.var(0, correction=0) + constant).sqrt()


@mistake(
    FORWARD,
    killed_by="test_the_fit_has_the_dtype_of_the_sample",
    says="The fit is float32 whatever came in. It should have the dtype of the sample.",
)
def fit_in_float32(x: Tensor) -> Fit:
    return x.mean(0).float(), x.std(0, correction=0).float()


@mistake(FORWARD, killed_by="test_one_sample_is_its_own_fit", says="With one sample you divided by n - 1 = 0. Its spread is zero, not nan.")
def nan_for_one_sample(x: Tensor) -> Fit:
    n = len(x)
    return x.mean(0), x.std(0) * ((n - 1) / n) ** 0.5


@mistake(
    FORWARD,
    killed_by="test_the_fit_is_accurate_far_from_zero",
    when=lambda x: x.dtype == torch.float64,
    says="float64 inside helps float32 samples only. Take the mean away before you square.",
)
def difference_of_moments_in_float64(x: Tensor) -> Fit:
    y = x.double()
    mu = y.mean(0)
    return mu.to(x.dtype), (y.square().mean(0) - mu.square()).clamp(min=0).sqrt().to(x.dtype)


@mistake(FORWARD, killed_by="test_the_means_by_hand", says="Mean and standard deviation are exchanged: the mean comes first.")
def sigma_before_mu(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.std(dim=0, correction=0), x.mean(dim=0)


@mistake(FORWARD, killed_by="test_the_spreads_by_hand", says="This is the root mean square. Deviations are from the mean, not from zero.")
def root_mean_square(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.mean(dim=0), x.square().mean(dim=0).sqrt()


@mistake(FORWARD, killed_by="test_the_means_by_hand", says="One mean and one spread for all coordinates. Each has its own.")
def one_gaussian_for_all(x: Tensor) -> tuple[Tensor, Tensor]:
    m = x.shape[1]
    return x.mean().expand(m), x.std(correction=0).expand(m)


@mistake(
    FORWARD, killed_by="test_the_spreads_by_hand", says="You hold the standard deviation above 10^-6. The samples may lie closer together."
)
def spread_held_above_a_floor(x: Tensor) -> Fit:
    sigma = x.std(0, correction=0)
    return x.mean(0), torch.where(sigma > 0, sigma.clamp(min=1e-6), sigma)


@mistake(
    FORWARD,
    killed_by="test_the_fit_is_accurate_far_from_zero",
    says="You subtract the square of the mean while that seems to leave enough digits. Take the mean away before you square.",
)
def difference_of_moments_while_digits_last(x: Tensor) -> Fit:
    variance = x.square().mean(0) - x.mean(0).square()
    return x.mean(0), torch.where(variance > 1e-6 * x.square().mean(0), variance.clamp(min=0), x.var(0, correction=0)).sqrt()


@mistake(
    FORWARD,
    killed_by="test_the_fit_has_the_dtype_of_the_sample",
    says="The spread of one sample is a zero in the default dtype. It should have that of the sample.",
    when=lambda x: len(x) == 1,
)
def float32_zero_for_one_sample(x: Tensor) -> Fit:
    return x.mean(0), torch.zeros(x.shape[1]) if len(x) == 1 else x.std(0, correction=0)


@variant(FORWARD)
def fit_in_float64_inside(x: Tensor) -> Fit:
    wide = x.double()
    mu = wide.mean(0)
    return mu.to(x.dtype), (wide - mu).square().mean(0).sqrt().to(x.dtype)


@variant(FORWARD)
def fit_by_welfords_loop(x: Tensor) -> Fit:
    mu, squares = x[0].clone(), torch.zeros_like(x[0])
    for i, row in enumerate(x[1:], start=2):
        off = row - mu
        mu = mu + off / i
        squares = squares + off * (row - mu)
    return mu, (squares / len(x)).sqrt()


@variant(FORWARD)
def fit_with_a_detached_sample(x: Tensor) -> Fit:
    x = x.detach()
    sigma, mu = torch.std_mean(x, dim=0, unbiased=False)
    return mu, sigma


@variant(FORWARD)
def fit_by_the_root_of_the_mean_square(x: Tensor) -> Fit:
    with torch.no_grad():
        mu = x.sum(dim=0) / x.shape[0]
        return mu, torch.sqrt(((x - mu) ** 2).sum(dim=0) / x.shape[0])


@variant(FORWARD)
def fit_by_norms_of_centred_columns(x: Tensor) -> Fit:
    n, _ = x.shape
    mu = torch.mean(x, 0, keepdim=True)
    return mu.squeeze(0), torch.linalg.vector_norm(x - mu, dim=0) / n**0.5
