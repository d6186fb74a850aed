"""Ancestral sampling of sequences (slide 39)."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import Mismatch, assert_dtype, assert_form
from grader.checking.statistics import assert_follows_pmf, outcome_index
from grader.checks.lecture1.autoregressive.draw import (
    both_columns,
    half_on_zero,
    joint_pmf,
    model_of_joint,
    table_model,
)
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.conditionals import as_agreed, independent_table, markov_table

sample = pytest.mark.exercise("autoregressive.sample")
weight = pytest.mark.weight
examples = pytest.mark.examples

STRAYS = 3  # of 400 samples: a uniform number is exactly 0 once in 10^7, and then finds an impossible value

gaps = st.sampled_from((math.inf, 1e4, 1e2))
offsets = st.sampled_from((0.0, -1e4, 1e4))


@sample
@weight(0.25)
def test_a_model_that_counts_has_one_sequence(student):
    """The first value is 1, and after each value only the next one is possible: 1, 2, 0, 1 is the only sequence."""
    after = torch.full((4, 3), -math.inf).scatter(1, torch.tensor([[1], [2], [0], [1]]), 0.0)  # a 0, 1, 2 or nothing
    assert_only(student.sample(markov_table(after.repeat(4, 1, 1)), 400, 4, student.generator(0)), 400, [1, 2, 0, 1])


@sample
@weight(0.25)
@examples(2)
@given(m=st.sampled_from((3, 12)), K=st.integers(2, 4), key=draw.seeds, gap=gaps, top=offsets, dtype=draw.dtypes)
@example(m=3, K=300, key=1, gap=math.inf, top=0.0, dtype=torch.float32)  # one value is above 255
@example(m=12, K=4, key=1, gap=1e2, top=1e4, dtype=torch.float32)  # nothing is left of the gap where logits are clamped
@example(m=12, K=3, key=2, gap=1e4, top=-1e4, dtype=torch.float64)
def test_a_deterministic_model_has_one_sequence(student, m, K, key, gap, top, dtype):
    """Where each value leaves only one possible next value, every sample is the same known sequence."""
    follower = draw.integers((m, K + 1), key, K)  # of every value at every position
    table = torch.full((m, K + 1, K), top - gap, dtype=dtype).scatter(2, follower[..., None], top)
    sequence = [int(follower[0, K])]
    for j in range(1, m):
        sequence.append(int(follower[j, sequence[-1]]))
    assert_only(student.sample(markov_table(table), 400, m, student.generator(key)), 400, sequence)


@sample
@weight(0.5)
@pytest.mark.parametrize(("m", "K"), [(2, 3), (5, 2)])
def test_sampling_from_the_conditionals_of_a_joint_gives_the_joint(student, seed, m, K):
    """A joint distribution with impossible sequences, handed over as its conditionals, is what the samples follow."""
    joint = joint_pmf(m, K, seed=3)
    conditional, generator = model_of_joint(joint), student.generator(seed)
    assert_follows_pmf(lambda n: outcome_index(student.sample(conditional, n, m, generator), K), joint, first=512)


@sample
@weight(1)
def test_samples_follow_the_joint_law(student, ref, seed):
    """Sequences come up with their joint probabilities: each value is drawn given those before it in its own row."""
    m, K = 3, 3
    conditional = table_model(m, K, seed=7)
    generator = student.generator(seed)
    assert_follows_pmf(
        lambda n: outcome_index(student.sample(conditional, n, m, generator), K),
        ref.joint_pmf(conditional, m, K),
        named=ref.mistaken_joint_pmfs(conditional, m, K),
        first=512,
    )


@sample
@weight(0.625)
def test_a_common_value_and_many_rare_ones_keep_their_odds(student, seed):
    """One value of probability 1/2 and 63 rare ones: no temperature (1.03 and 0.97 are seen), and nothing cut off."""
    K = 64
    logits = 5000 + half_on_zero(1, K).parameters["table"]  # in half precision that far out their differences are others
    conditional, generator = independent_table(logits.repeat(2, 1)), student.generator(seed)
    law = torch.tensor([1 / 2] + [0.5 / (K - 1)] * (K - 1)).double()
    assert_follows_pmf(
        lambda n: both_columns(student, conditional, n, generator, K),
        law,
        named={"warmer": tempered(law, 1.03), "cooler": tempered(law, 0.97)},
        first=1024,
        budget=60_000,
        outcomes=[f"the value {k}" for k in range(K)],
    )


@sample
@weight(0.125)
def test_a_nearly_certain_value_leaves_room_for_the_other(student, seed):
    """Where one value has probability 0.97, one of the 300 others comes up in 3 of 100 draws."""
    law = torch.tensor([1e-4] * 300 + [0.97], dtype=torch.float64)
    conditional, generator = independent_table(law.log().float().repeat(2, 1)), student.generator(seed)
    of_two = lambda weights: torch.stack([weights[:-1].sum(), weights[-1]]) / weights.sum()  # noqa: E731
    draws = lambda n: (both_columns(student, conditional, n, generator, 301) == 300).long()  # noqa: E731
    named = {"sigmoid_for_softmax": of_two(law.log().sigmoid())}
    assert_follows_pmf(draws, of_two(law), named=named, first=1024, outcomes=["another value", "the value 300"])


@sample
@weight(0.125)
def test_sampling_a_thousand_variables(student):
    """A sequence of 1001 variables that each leave one possible value is that sequence."""
    m, K = 1001, 2
    values = draw.integers((m,), 5, K)
    table = torch.full((m, K), -math.inf).scatter(1, values[:, None], 0.0)
    assert_only(student.sample(independent_table(table), 2, m, student.generator(0)), 2, values.tolist())


@sample
@weight(0.125)
def test_samples_are_n_sequences_of_m_values(student):
    """The result has shape (n, m) and values in 0..K-1, also for n = 1, m = 1, K = 1; a single sequence is drawn, too."""
    for n, m, K in ((2, 3, 4), (1, 3, 3), (3, 1, 3), (3, 2, 1), (1, 1, 1)):
        got = student.sample(markov_table(torch.zeros(m, K + 1, K)), n, m, student.generator(n))
        assert_form(got, (n, m))
        if got.min() < 0 or got.max() >= K:
            raise Mismatch("value", f"there is a value outside 0..{K - 1}: {got.tolist()}", got)
    even, generator = independent_table(torch.zeros(2, 4096)), student.generator(0)
    calls = [student.sample(even, 1, 2, generator) for _ in range(4)]
    if any(torch.equal(calls[0], other) for other in calls[1:]):  # of two values of 4096 each
        raise Mismatch("law", "two calls for a single sequence of 4096 equally likely values give the same one: it is not drawn", calls[0])


@sample
@weight(0.083)
def test_samples_are_int64_and_so_is_what_the_conditional_gets(student):
    """The conditional is called with all m columns, int64, values in 0..K-1 everywhere; samples are int64 as well."""
    for K in (3, 1):
        conditional = as_agreed(table_model(3, K, seed=2), 3, K)
        assert_dtype(student.sample(conditional, 4, 3, student.generator(0)), torch.int64)


def tempered(law: torch.Tensor, temperature: float) -> torch.Tensor:
    """The law of one who divides the logits by a temperature."""
    return (law.log() / temperature).softmax(dim=0)


def assert_only(got: torch.Tensor, n: int, sequence: list[int]) -> None:
    """All n rows are the only possible sequence, but for strays."""
    m = len(sequence)
    assert_form(got, (n, m))
    wrong = got != torch.tensor(sequence)
    if wrong.any(dim=1 if n > m else 0).sum() > STRAYS:
        row, j = wrong.nonzero()[0].tolist()
        raise Mismatch(
            "value",
            f"variable {j} (from 0) of a sample is {got[row, j].item():g}, which is impossible there",
            got,
            expected=str(sequence[j]),
        )
