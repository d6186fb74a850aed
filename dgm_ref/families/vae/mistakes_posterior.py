"""Wrong and other right answers about the posterior of a linear decoder."""

from __future__ import annotations

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, variant

POSTERIOR = "vae.optimal_posterior"
BY_HAND, ANY_SIZE = "test_the_posterior_of_two_codes_known_by_hand", "test_the_posterior_exists_with_more_codes_than_data_and_for_any_rank"
TRAINS = "test_the_posterior_has_gradients_in_the_decoder_and_the_data"

Pair = tuple[Tensor, Tensor]


def _precision(W: Tensor, variance: Tensor) -> Tensor:
    return torch.eye(W.shape[1], dtype=W.dtype) + W.T @ W / variance


@mistake(POSTERIOR, killed_by=BY_HAND, says="You divide by sigma. The noise has the variance sigma^2, and its precision is 1/sigma^2.")
def deviation_for_variance(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    covariance = torch.linalg.inv(_precision(W, sigma))
    return x @ W @ covariance / sigma, covariance


@mistake(POSTERIOR, killed_by=BY_HAND, says="The second part is the precision matrix. The covariance is its inverse.")
def precision_for_covariance(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    precision = _precision(W, sigma**2)
    return x @ W @ torch.linalg.inv(precision) / sigma**2, precision


@mistake(POSTERIOR, killed_by=BY_HAND, says="The data are centred. The model has no mean: its data have the mean zero, not those given.")
def centred_data(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    covariance = torch.linalg.inv(_precision(W, sigma**2))
    return (x - x.mean(0)) @ W @ covariance / sigma**2, covariance


@mistake(POSTERIOR, killed_by=BY_HAND, says="The mean lacks its factor 1/sigma^2: data that are hardly noisy weigh more than the prior.")
def mean_without_the_noise(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    covariance = torch.linalg.inv(_precision(W, sigma**2))
    return x @ W @ covariance, covariance


@mistake(
    POSTERIOR,
    killed_by=BY_HAND,
    says="The covariance lacks its factor sigma^2: (W'W + sigma^2 I)^-1 gives the mean, and times sigma^2 the covariance.",
)
def covariance_without_the_noise(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    M = torch.linalg.inv(W.T @ W + sigma**2 * torch.eye(W.shape[1], dtype=W.dtype))
    return x @ W @ M, M


@mistake(
    POSTERIOR, killed_by=BY_HAND, says="The prior is forgotten: this is least squares. The precision has the identity of N(0, I), too."
)
def least_squares(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    covariance = torch.linalg.pinv(W.T @ W) * sigma**2
    return x @ torch.linalg.pinv(W).T, covariance


@mistake(
    POSTERIOR,
    killed_by=BY_HAND,
    says="The second part is the variances alone. Codes are correlated given the data: return the whole matrix.",
)
def diagonal_of_the_covariance(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    covariance = torch.linalg.inv(_precision(W, sigma**2))
    return x @ W @ covariance / sigma**2, torch.diag(covariance.diagonal())


@mistake(
    POSTERIOR,
    killed_by=BY_HAND,
    says="The second part is the covariance of one code, repeated for each row. It is the same for all: one (d, d) matrix.",
)
def covariance_for_each_row(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    covariance = torch.linalg.inv(_precision(W, sigma**2))
    return x @ W @ covariance / sigma**2, covariance.expand(len(x), -1, -1)


@mistake(POSTERIOR, killed_by=BY_HAND, says="The mean is transposed: one row for each row of x, (n, d).")
def mean_transposed(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    covariance = torch.linalg.inv(_precision(W, sigma**2))
    return covariance @ W.T @ x.T / sigma**2, covariance


@mistake(
    POSTERIOR,
    killed_by=ANY_SIZE,
    says="You invert W'W, which is singular where codes outnumber data or repeat: add the prior's identity before you invert.",
)
def inverts_the_gram_matrix(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    gram = torch.linalg.pinv(W.T @ W)
    covariance = gram - gram @ torch.linalg.inv(gram + torch.eye(len(gram), dtype=W.dtype) / sigma**2) @ gram / sigma**2
    covariance = covariance * 0 + torch.linalg.pinv(W.T @ W / sigma**2 + torch.eye(len(gram), dtype=W.dtype) * (gram @ W.T @ W))
    return x @ W @ covariance / sigma**2, covariance


@mistake(POSTERIOR, killed_by=TRAINS, says="The covariance has lost its graph: it depends on W and sigma.")
def detached_covariance(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    covariance = torch.linalg.inv(_precision(W, sigma**2))
    return x @ W @ covariance / sigma**2, covariance.detach()


@mistake(POSTERIOR, killed_by=BY_HAND, says="The second part is the Cholesky factor. The covariance is that times its transpose.")
def root_of_the_covariance(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    covariance = torch.linalg.inv(_precision(W, sigma**2))
    return x @ W @ covariance / sigma**2, torch.linalg.cholesky(covariance)


@mistake(
    POSTERIOR,
    killed_by="test_the_posterior_of_a_single_row_and_a_single_code",
    says="You centre a batch of more than eight rows. The model has no mean, whatever the number of rows.",
    when=lambda x: len(x) > 8,
)
def large_batches_centred(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    covariance = torch.linalg.inv(_precision(W, sigma.square()))
    return (x - x.mean(0) if len(x) > 8 else x) @ W @ covariance / sigma.square(), covariance


@mistake(POSTERIOR, killed_by=BY_HAND, says="The mean is divided by sigma^2 twice. Once is right.")
def mean_divided_twice(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    covariance = torch.linalg.inv(_precision(W, sigma**2))
    return x @ W @ covariance / sigma**4, covariance


@mistake(POSTERIOR, killed_by=BY_HAND, says="You multiply by sigma^2. The precision of the noise is 1/sigma^2: divide.")
def multiplied_by_the_variance(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    covariance = torch.linalg.inv(_precision(W, sigma**-2))
    return x @ W @ covariance * sigma**2, covariance


@mistake(POSTERIOR, killed_by=BY_HAND, says="sigma is not used: the data count by their precision, 1/sigma^2.")
def sigma_not_used(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    covariance = torch.linalg.inv(_precision(W, sigma**0))
    return x @ W @ covariance, covariance


@variant(POSTERIOR)
def by_the_woodbury_identity(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    evidence = W @ W.T + sigma**2 * torch.eye(len(W), dtype=W.dtype)
    gain = torch.linalg.solve(evidence, W).T  # (d, m)
    return x @ gain.T, torch.eye(W.shape[1], dtype=W.dtype) - gain @ W


@variant(POSTERIOR)
def by_a_cholesky_factor(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    L = torch.linalg.cholesky(_precision(W, sigma.square()))
    mean = torch.cholesky_solve(W.T @ x.T, L).T / sigma.square()
    return mean, torch.cholesky_inverse(L)


@variant(POSTERIOR)
def by_the_singular_values(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    M = torch.linalg.inv(W.mT @ W + sigma**2 * torch.eye(W.size(1)).to(W))
    return torch.einsum("de,me,nm->nd", M, W, x), sigma**2 * M


@mistake(
    POSTERIOR,
    killed_by=TRAINS,
    says="Eigenvectors have no derivative where eigenvalues are equal, as with more codes than data: the gradient is nan. Solve instead.",
)
def by_eigenvectors(W: Tensor, sigma: Tensor, x: Tensor) -> Pair:
    values, vectors = torch.linalg.eigh(W.T @ W)
    covariance = vectors / (1 + values / sigma**2) @ vectors.T
    return x @ W @ covariance / sigma**2, covariance
