"""A function leaves what it is given as it is: who computes right and then spoils an argument fails a check, which says so."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from grader.assignment import lectures, load
from grader.exam.collect import Check, collect
from grader.exam.examiner import Examiner
from grader.hidden import known_submissions
from grader.hidden.answer_key import InstructorsKey
from grader.values import leaves, mapped

Function = Callable[..., Any]
SENTENCE = "the call changed what it was given"
MAY_CHANGE = {"imagegpt.train_step"}  # by the contract
WITHOUT_TENSORS = {  # given numbers, callables and generators alone
    "histogram.num_parameters", "histogram.accepts", "divergences.forward_kl", "divergences.reverse_kl",
    "autoregressive.sample", "autoregressive.context_mask", "autoregressive.gaussian_sample",
    "score.noise_levels", "pixelcnn.causal_kernel_mask",
}  # fmt: skip


def _exercises() -> Iterator[tuple[str, str]]:
    for lecture in lectures():
        checked = {check.exercise for check in collect(lecture) if not check.gpu and not check.training}
        yield from ((lecture, one.name) for one in load(lecture).exercises if one.name in checked - MAY_CHANGE)


@pytest.mark.parametrize(("lecture", "exercise"), list(_exercises()))
def test_whoever_spoils_an_argument_is_told(lecture: str, exercise: str) -> None:
    """Each tensor, and each model, by itself: an answer that forgets one of them is noticed, too."""
    examiner, checks = _examiner(lecture), _that_observe(lecture, exercise)
    for place in itertools.count():
        spoils = _Spoils(place)
        wrong = known_submissions.with_changed(lecture, [exercise], spoils)
        messages = [examiner.examine(check, wrong).message for check in checks]
        if not spoils.spoilt:  # there are no more
            break
        assert any(SENTENCE in message for message in messages), f"argument {place} is spoilt, and nobody says so: {messages}"
    assert (place == 0) == (exercise in WITHOUT_TENSORS)


def test_a_buffer_that_a_call_makes_is_no_change() -> None:
    def with_a_mask(right: Function) -> Function:
        def function(model: nn.Module, *args: Any, **kwargs: Any) -> Any:
            model.register_buffer("mask", torch.ones(3))
            return right(model, *args, **kwargs)

        return function

    masked = known_submissions.with_changed("lecture1", ["imagegpt.sample"], with_a_mask)
    checks = _that_observe("lecture1", "imagegpt.sample")
    assert {_examiner("lecture1").examine(check, masked).outcome for check in checks} == {"passed"}


class _Spoils:
    """Makes of a right function one that then changes the tensor or model at `place` among what it was given, `self` included."""

    def __init__(self, place: int) -> None:
        self.place, self.spoilt = place, False

    def __call__(self, right: Function) -> Function:
        @functools.wraps(right)
        def function(*args: Any, **kwargs: Any) -> Any:
            value = mapped(right(*args, **kwargs), lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf)
            given = [leaf for leaf in leaves([*args, kwargs]) if _can_be_spoilt(leaf)]
            if self.place < len(given):
                self.spoilt = True
                _spoil(given[self.place])
            return value

        return function


def _can_be_spoilt(leaf: Any) -> bool:
    return isinstance(leaf, nn.Module) or (isinstance(leaf, Tensor) and leaf.dtype != torch.bool)


def _spoil(given: Tensor | nn.Module) -> None:
    with torch.no_grad():
        for tensor in given.parameters() if isinstance(given, nn.Module) else [given]:
            tensor.mul_(1.25) if tensor.is_floating_point() else tensor.zero_()


@functools.cache
def _examiner(lecture: str) -> Examiner:
    torch.set_num_threads(1)
    return Examiner(load(lecture), collect(lecture), "a seed", key=InstructorsKey(lecture, names=False), quick=True)


def _that_observe(lecture: str, exercise: str) -> list[Check]:
    """The checks of an exercise that ask which arguments a call has changed; where there are none, the first ones."""
    own = [check for check in collect(lecture) if check.exercise == exercise and not check.gpu and not check.training]
    return [check for check in own if ".observed(" in _source(check.body)] or own[:2]


def _source(body: Function) -> str:
    """The source of a check and of the functions beside it that it calls."""
    beside = [body.__globals__.get(name) for name in body.__code__.co_names]
    helpers = [one for one in beside if inspect.isfunction(one) and one.__module__ == body.__module__]
    return "\n".join(map(inspect.getsource, [body, *helpers]))
