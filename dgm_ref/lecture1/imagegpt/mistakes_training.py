"""Wrong answers about one step of maximum likelihood that students really give, and right ones that look different."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dgm_ref.catalogue import mistake, size_of, variant

STEP = "imagegpt.train_step"
LOSS = "test_the_loss_is_in_nats_per_dimension_before_the_step"
FOLLOWS = "test_a_step_follows_the_gradient_of_the_loss"
LARGE = "test_every_image_of_a_large_batch_counts_alike"
LEFT = "test_gradients_left_from_before_do_not_count"
# What no check can tell apart says the same, or it would have no name.
LEFT_OVER = "Gradients from before are still there and are added. Clear them before backward: after the step is too late for the first."
NOT_MOVED = "The batch moves nothing: the optimizer is not told to step, or the gradients are cleared between backward and step."


@mistake(STEP, killed_by=LEFT, says=LEFT_OVER)
def never_clears_gradients(model: Any, optimizer: Any, x: Tensor) -> float:
    loss = _loss(model, x)
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake(STEP, killed_by=FOLLOWS, says=NOT_MOVED)
def clears_gradients_too_late(model: Any, optimizer: Any, x: Tensor) -> float:
    loss = _loss(model, x)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


@mistake(STEP, killed_by=LOSS, says="This is the loss after the step. Return the one that the step was made from.")
def loss_after_the_step(model: Any, optimizer: Any, x: Tensor) -> float:
    _step(model, optimizer, x, _loss)
    return _loss(model, x).item()


@mistake(
    STEP,
    killed_by="test_the_loss_is_a_python_float",
    says="The result is a tensor. Return a Python float, loss.item(): a list of losses with their graphs fills the memory.",
)
def returns_a_tensor(model: Any, optimizer: Any, x: Tensor) -> Tensor:
    return torch.tensor(_step(model, optimizer, x, _loss), dtype=model.head.weight.dtype)


@mistake(
    STEP,
    killed_by=LOSS,
    says="This is the loss of a whole image. Per dimension, it is divided by the number of pixels too.",
)
def loss_of_an_image(model: Any, optimizer: Any, x: Tensor) -> float:
    return _step(model, optimizer, x, lambda model, x: _loss(model, x) * x.shape[1])


@mistake(STEP, killed_by=LOSS, says="This is the sum over the batch. The loss is the mean over images and pixels.")
def loss_of_the_batch(model: Any, optimizer: Any, x: Tensor) -> float:
    return _step(model, optimizer, x, lambda model, x: _loss(model, x) * x.numel())


@mistake(STEP, killed_by=LOSS, says="These are bits. The loss is in nats: do not divide by log 2.")
def loss_in_bits(model: Any, optimizer: Any, x: Tensor) -> float:
    return _step(model, optimizer, x, _loss) / math.log(2)


@mistake(
    STEP,
    killed_by=LOSS,
    says="You shift once more: logits[:, j] are those of x[:, j] already, forward makes the shift.",
)
def shifts_once_more(model: Any, optimizer: Any, x: Tensor) -> float:
    def loss(model: Any, x: Tensor) -> Tensor:
        return F.cross_entropy(model(x)[:, :-1].transpose(1, 2), x[:, 1:]) if x.shape[1] > 1 else _loss(model, x)

    return _step(model, optimizer, x, loss)


@mistake(
    STEP,
    killed_by=LOSS,
    says="cross_entropy wants the K classes on axis 1. You gave it the pixels there, which goes unnoticed when m = K.",
)
def classes_on_the_wrong_axis(model: Any, optimizer: Any, x: Tensor) -> float:
    return _step(model, optimizer, x, lambda model, x: F.cross_entropy(model(x), x))


@mistake(STEP, killed_by=LOSS, says="You look at the last pixel only. Every pixel of every image counts.")
def last_pixel_only(model: Any, optimizer: Any, x: Tensor) -> float:
    return _step(model, optimizer, x, lambda model, x: F.cross_entropy(model(x)[:, -1], x[:, -1]))


@mistake(STEP, killed_by=LOSS, says="You take the softmax before cross_entropy, which takes it itself.")
def softmax_before_cross_entropy(model: Any, optimizer: Any, x: Tensor) -> float:
    return _step(model, optimizer, x, lambda model, x: F.cross_entropy(model(x).softmax(-1).transpose(1, 2), x))


@mistake(STEP, killed_by=FOLLOWS, says="You step uphill: the loss is to become smaller.")
def steps_uphill(model: Any, optimizer: Any, x: Tensor) -> float:
    return -_step(model, optimizer, x, lambda model, x: -_loss(model, x))


@mistake(STEP, killed_by=FOLLOWS, says="You clip the gradient. The step follows it as it is.", constants=(0.1, 0.5))
def clips_the_gradient(model: Any, optimizer: Any, x: Tensor, constant: float = 1.0) -> float:
    return _step(model, optimizer, x, _loss, before_step=lambda: torch.nn.utils.clip_grad_norm_(model.parameters(), constant))


@mistake(STEP, killed_by=FOLLOWS, says="You clip long gradients. The step follows the gradient as it is.")
def clips_at_ten(model: Any, optimizer: Any, x: Tensor) -> float:
    return _step(model, optimizer, x, _loss, before_step=lambda: torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0))


@mistake(STEP, killed_by=FOLLOWS, says="You make two steps. One batch, one step.")
def two_steps(model: Any, optimizer: Any, x: Tensor) -> float:
    return _step(model, optimizer, x, _loss, before_step=optimizer.step)


@mistake(STEP, killed_by=FOLLOWS, says=NOT_MOVED)
def no_step(model: Any, optimizer: Any, x: Tensor) -> float:
    return _loss(model, x).item()


@mistake(STEP, killed_by=FOLLOWS, says="You step along the gradient of the sum, n m times the mean that you return.")
def steps_on_the_sum(model: Any, optimizer: Any, x: Tensor) -> float:
    return _step(model, optimizer, x, lambda model, x: _loss(model, x) * x.numel()) / x.numel()


@mistake(STEP, killed_by=LOSS, says="You leave out the last image of the batch.")
def last_image_left_out(model: Any, optimizer: Any, x: Tensor) -> float:
    return _step(model, optimizer, x[:-1], _loss)


@mistake(
    STEP,
    killed_by=LARGE,
    says="You use the first 64 images of the batch only: all of them count.",
    when=size_of("x", axis=0, at_least=65),
)
def sixty_four_images_at_most(model: Any, optimizer: Any, x: Tensor) -> float:
    return _step(model, optimizer, x[:64], _loss)


@mistake(
    STEP,
    killed_by=LARGE,
    says="You average over mini-batches of 32, the last one smaller: its images count too much.",
    when=size_of("x", axis=0, at_least=33),
)
def means_of_mini_batches(model: Any, optimizer: Any, x: Tensor) -> float:
    return _step(model, optimizer, x, lambda model, x: torch.stack([_loss(model, part) for part in x.split(32)]).mean())


@mistake(STEP, killed_by=LOSS, says="You ignore pixels of colour 0: ignore_index is meant for padding, and there is none.")
def ignores_the_first_colour(model: Any, optimizer: Any, x: Tensor) -> float:
    return _step(model, optimizer, x, lambda model, x: F.cross_entropy(model(x).transpose(1, 2), x, ignore_index=0))


@mistake(STEP, killed_by=LOSS, says="You smooth the labels. Maximum likelihood takes the data as they are.")
def smooths_the_labels(model: Any, optimizer: Any, x: Tensor) -> float:
    return _step(model, optimizer, x, lambda model, x: F.cross_entropy(model(x).transpose(1, 2), x, label_smoothing=0.05))


@mistake(STEP, killed_by=LEFT, says=LEFT_OVER)
def clears_gradients_after_the_step(model: Any, optimizer: Any, x: Tensor) -> float:
    loss = _loss(model, x)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


@mistake(STEP, killed_by=LOSS, says="These are bits. The loss is in nats: do not divide by log 2.")
def trains_on_bits(model: Any, optimizer: Any, x: Tensor) -> float:
    return _step(model, optimizer, x, lambda model, x: _loss(model, x) / math.log(2))


@mistake(STEP, killed_by=FOLLOWS, says="You make two steps. One batch, one step.")
def two_steps_of_their_own(model: Any, optimizer: Any, x: Tensor) -> float:
    loss = _step(model, optimizer, x, _loss)
    _step(model, optimizer, x, _loss)
    return loss


@mistake(STEP, killed_by=LOSS, says="The first pixel is missing: logits[:, 0] is its distribution, and it counts like the others.")
def first_pixel_left_out(model: Any, optimizer: Any, x: Tensor) -> float:
    return _step(model, optimizer, x, lambda model, x: F.cross_entropy(model(x)[:, 1:].transpose(1, 2), x[:, 1:]))


@mistake(
    STEP,
    killed_by=LOSS,
    says="A reshape after transpose(1, 2) mixes logits of different pixels and values: flatten (n, m, K) to (n m, K) as it is, "
    "or hand (n, K, m) to cross_entropy without a reshape.",
)
def logits_mixed_up_by_a_reshape(model: Any, optimizer: Any, x: Tensor) -> float:
    def loss(model: Any, x: Tensor) -> Tensor:
        logits = model(x)
        return F.cross_entropy(logits.transpose(1, 2).reshape(-1, logits.shape[-1]), x.flatten())

    return _step(model, optimizer, x, loss)


@mistake(STEP, killed_by=LOSS, says="You round the loss to three digits. It has those of a float.")
def loss_rounded(model: Any, optimizer: Any, x: Tensor) -> float:
    return round(_step(model, optimizer, x, _loss), 3)


@mistake(
    STEP,
    killed_by=LEFT,
    says="You clear the gradients of the optimizer's first group of parameters only: those left in the others are added. "
    "optimizer.zero_grad() clears all.",
)
def clears_the_first_group_only(model: Any, optimizer: Any, x: Tensor) -> float:
    for p in optimizer.param_groups[0]["params"]:
        p.grad = None
    loss = _loss(model, x)
    loss.backward()
    optimizer.step()
    return loss.item()


@mistake(STEP, killed_by=FOLLOWS, says="You train the optimizer's first group of parameters only: all groups learn.")
def trains_the_first_group_only(model: Any, optimizer: Any, x: Tensor) -> float:
    loss = _loss(model, x)
    optimizer.zero_grad()
    parameters = optimizer.param_groups[0]["params"]
    for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True):
        p.grad = gradient
    optimizer.step()
    return loss.item()


@mistake(
    STEP,
    killed_by=LARGE,
    says="Images that are equal count once. In the mean over the batch each of them counts.",
    when=lambda x: len(x.unique(dim=0)) < len(x),
)
def equal_images_count_once(model: Any, optimizer: Any, x: Tensor) -> float:
    return _step(model, optimizer, x.unique(dim=0), _loss)


@variant(STEP)
def step_in_training_mode(model: Any, optimizer: Any, x: Tensor) -> float:
    model.train()
    optimizer.zero_grad(set_to_none=False)
    loss = -torch.distributions.Categorical(logits=model(x)).log_prob(x).mean()
    loss.backward()
    optimizer.step()
    return float(loss)


@variant(STEP)
def step_by_nll_loss(model: Any, optimizer: Any, x: Tensor) -> float:
    model.zero_grad()
    logits = model(x)
    loss = F.nll_loss(F.log_softmax(logits.view(-1, logits.size(-1)), dim=-1), x.reshape(-1))
    loss.backward()
    optimizer.step()
    return loss.detach().cpu().item()


@variant(STEP)
def step_by_gather(model: Any, optimizer: Any, x: Tensor) -> float:
    def loss(model: Any, x: Tensor) -> Tensor:
        log_pi = model(x).log_softmax(dim=-1)
        return -log_pi.gather(2, x[..., None]).sum() / x.numel()

    return _step(model, optimizer, x, loss)


@variant(STEP)
def step_by_a_closure(model: Any, optimizer: Any, x: Tensor) -> float:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).flatten(0, 1), x.flatten())
        loss.backward()
        return loss

    return float(optimizer.step(closure))


@variant(STEP)
def step_by_setting_gradients(model: Any, optimizer: Any, x: Tensor) -> float:
    loss = _loss(model, x)
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    for p, gradient in zip(parameters, gradients, strict=True):
        p.grad = gradient
    optimizer.step()
    return loss.detach().item()


def _loss(model: Any, x: Tensor) -> Tensor:
    return F.cross_entropy(model(x).transpose(1, 2), x)


def _step(
    model: Any,
    optimizer: Any,
    x: Tensor,
    of: Callable[[Any, Tensor], Tensor],
    before_step: Callable[[], Any] | None = None,
) -> float:
    loss = of(model, x)
    optimizer.zero_grad()
    loss.backward()
    if before_step is not None:
        before_step()
    optimizer.step()
    return loss.item()
