"""Wrong answers that students really give, and right answers that look different.

Every mistake must be killed by the check that it names; every variant must get full marks. The same list tells a
student what was misunderstood, so what a mistake *says* must be true on the very input that the student sees beside it:

    @mistake(LOG_DET, killed_by=UNDERFLOW, says="The determinant underflows: take its logarithm from slogdet.",
             when=size_of("x", axis=1, at_least=20))
    def logarithm_of_the_determinant(f, x): ...

``when``: for a sentence that speaks of a property of the input (its size, a zero in it, a negative determinant): a
function of some of the call's arguments, taken by their names as the mistake's own function calls them, that is true
where the property holds. The name is given only if it is true in a call whose answer is wrong. It sees the arguments as
the function gets them (callables ready to be called, models with their parameters) and must leave them as they are: it
draws from no generator. ``size_of`` and ``contains`` make the usual ones; any ``lambda x: …`` will do.

``green_at_home``: why no public check fails on it, so that a student sees green for a wrong answer until it is handed in.
Without such a reason, a mistake must fail a check that runs on a student's machine. A test holds how many there are.

``constants``: where the mistake has a number of its own (what is added inside a logarithm, where a clamp holds), other
numbers that students take. The function has the number as its parameter ``constant``; what is said must be true of all.

``raises=True``: the wrong answer *is* an exception (refusing a legal input, for instance). A failure by an exception is
never named otherwise: two programs that stumble need not have the same reason.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

EPSILONS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-16, 1e-20, 1e-30)  # what is added to be safe

Function = Callable[..., Any]
Predicate = Callable[..., Any]


@dataclass(frozen=True)
class Mistake:
    """A wrong answer: what it replaces, the check that must fail on it, and the sentence for the student."""

    exercise: str
    name: str
    killed_by: str
    says: str
    function: Function
    replaces: str  # the exercise whose function it stands in for: not its own where that examines others again
    needs_gpu: bool  # on a CPU it does no harm
    raises: bool  # it is wrong by raising, on purpose
    when: Predicate | None  # what it says is true only where this is
    green_at_home: str  # why it passes every public check; empty where one fails
    constants: tuple[float, ...] = ()  # other numbers for its parameter `constant`

    def with_each_constant(self) -> list[Mistake]:
        """The same mistake with its own number, and with each of the others."""
        return [self, *(dataclasses.replace(self, function=_at(self.function, constant)) for constant in self.constants)]

    def is_true_of(self, *args: Any, **kwargs: Any) -> bool:
        """Whether the sentence is true of a call with these arguments."""
        if self.when is None:
            return True
        try:
            given = inspect.signature(self.function).bind(*args, **kwargs)
        except TypeError:
            return False
        given.apply_defaults()
        with torch.no_grad():
            return bool(self.when(**{name: given.arguments[name] for name in inspect.signature(self.when).parameters}))


@dataclass(frozen=True)
class Variant:
    """Another right answer."""

    exercise: str
    name: str
    function: Function
    replaces: str  # as for a mistake


@dataclass(frozen=True)
class Catalogue:
    """The mistakes and the variants of one assignment, by exercise."""

    mistakes: dict[str, list[Mistake]]
    variants: dict[str, list[Variant]]


_registered: list[Mistake | Variant] = []  # in the order of import; `load` takes an assignment's own


def mistake(
    exercise: str,
    *,
    killed_by: str,
    says: str,
    replaces: str = "",
    needs_gpu: bool = False,
    raises: bool = False,
    when: Predicate | None = None,
    green_at_home: str = "",
    constants: tuple[float, ...] = (),
) -> Callable[[Function], Function]:
    """Register the decorated function as a wrong answer to `exercise`. The module's docstring explains the rarer arguments."""

    def register(function: Function) -> Function:
        what = function, replaces or exercise, needs_gpu, raises, when, green_at_home, constants
        _registered.append(Mistake(exercise, function.__name__, killed_by, says, *what))
        return function

    return register


def variant(exercise: str, *, replaces: str = "") -> Callable[[Function], Function]:
    """Register the decorated function as another right answer to `exercise`."""

    def register(function: Function) -> Function:
        _registered.append(Variant(exercise, function.__name__, function, replaces or exercise))
        return function

    return register


def size_of(argument: str, *, at_least: int, axis: int | None = None) -> Predicate:
    """`when` for "many of them": the argument has `at_least` entries, or entries along `axis`; a number is that large."""

    def large(**given: Any) -> bool:
        value = given[argument]
        if not isinstance(value, torch.Tensor):
            return bool(value >= at_least)
        return (value.numel() if axis is None else value.shape[axis]) >= at_least

    return _of(argument, large)


def contains(argument: str, value: float) -> Predicate:
    """`when` for "there is a zero in it": some entry of the argument is `value`."""
    return _of(argument, lambda **given: bool((torch.as_tensor(given[argument]) == value).any()))


def _at(function: Function, constant: float) -> Function:
    def with_constant(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs, constant=constant)

    return functools.update_wrapper(with_constant, function)


def near_one_another(argument: str) -> Predicate:
    """`when` for "nearly equal": the entries of the argument differ, by less than a tenth."""
    return _of(argument, lambda **given: bool(given[argument].min() < given[argument].max() < 1.1 * given[argument].min()))


def _of(argument: str, predicate: Predicate) -> Predicate:
    """The predicate with the one parameter that it looks at."""
    parameter = inspect.Parameter(argument, inspect.Parameter.KEYWORD_ONLY)
    predicate.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    return predicate


@functools.cache
def load(assignment: str, topic: str = "") -> Catalogue:
    """The catalogue of an assignment, or of one topic of it: all that the `mistakes_*` modules of the folder register."""
    package = importlib.import_module(f"dgm_ref.{assignment}.{topic}".rstrip("."))
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if module.name.rpartition(".")[2].startswith("mistakes_"):
            importlib.import_module(module.name)
    catalogue = Catalogue({}, {})
    for one in _registered:
        if one.function.__module__.startswith(f"{package.__name__}."):
            if isinstance(one, Mistake):
                catalogue.mistakes.setdefault(one.exercise, []).append(one)
            else:
                catalogue.variants.setdefault(one.exercise, []).append(one)
    return catalogue
