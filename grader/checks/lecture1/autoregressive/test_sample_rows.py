"""Ancestral sampling of sequences (slide 39): rows are independent draws, with all randomness from the generator."""

from __future__ import annotations

import math

import pytest
import torch

from grader.checking.compare import Mismatch, assert_calls_agree, assert_form
from grader.checking.statistics import (
    assert_follows_pmf,
    assert_no_row_repeats,
    assert_repeats_are_those_of_chance,
    assert_rows_agree_by_chance,
    assert_streams_differ,
)
from grader.checks.lecture1.autoregressive.draw import (
    both_columns,
    table_model,
)
from grader.checks.lecture1.shared.conditionals import independent_table, prefix_table

sample = pytest.mark.exercise("autoregressive.sample")
weight = pytest.mark.weight
examples = pytest.mark.examples

STRAYS = 3  # of 400 samples: a uniform number is exactly 0 once in 10^7, and then finds an impossible value
MANY = 2051  # rows: more than any batch, and no round number


@sample
@weight(0.25)
def test_throws_of_a_fair_die_are_independent(student, seed):
    """Throws of two fair dice are independent within a call and between calls, and no more even than chance."""
    die, generator = independent_table(torch.zeros(2, 8)), student.generator(seed)
    law = torch.full((8,), 1 / 8)
    assert_follows_pmf(lambda n: both_columns(student, die, n, generator, 8), law, first=16)


@sample
@weight(0.5)
def test_no_row_of_a_large_batch_repeats_or_mirrors_another(student, seed):
    """Of 2051 sequences with 2^64 equally likely outcomes no two are equal, and they agree no more than by chance.

    Of 24 pairs of values of 4096 hardly two share a value, in the same column or not.
    """
    m, K = 16, 16
    x = student.sample(independent_table(torch.zeros(m, K)), MANY, m, student.generator(seed))
    assert_form(x, (MANY, m))
    assert_no_row_repeats(x, log2_outcomes=m * math.log2(K))
    assert_rows_agree_by_chance(x, K)
    few, many_values = 24, 4096
    x = student.sample(independent_table(torch.zeros(2, many_values)), few, 2, student.generator(seed))
    assert_form(x, (few, 2))
    for which, values in (("first", x[:, 0]), ("second", x[:, 1]), ("first and second", x.flatten())):
        assert_repeats_are_those_of_chance(values, many_values, what=f"{which} values")


@sample
@weight(0.5)
def test_sampling_reads_its_generator_and_moves_it_on(student, seed):
    """The same state gives the same samples, the next call gives other ones, and so does another seed."""
    conditional = table_model(4, 4, seed=1, scale=0.5)  # 24 rows agree by chance once in 10^50
    generator, again, other = student.generator(seed), student.generator(seed), student.generator(seed + 1)
    first = student.sample(conditional, 24, 4, generator)
    assert_form(first, (24, 4))
    assert_calls_agree(
        student.sample(conditional, 24, 4, again),
        first,
        call="another generator in the same state (is some chance from elsewhere?)",
        other_call="the first one",
    )
    for call, g in (("the next call with the generator", generator), ("another seed", other)):
        second = student.sample(conditional, 24, 4, g)
        assert_form(second, (24, 4), what=call)
        if torch.equal(first, second):
            raise Mismatch("law", f"{call} gives the very same samples: all randomness should come from the generator")
    assert_streams_differ(lambda like: student.sample(conditional, 24, 4, student.generator(like)))


@sample
@weight(0.125)
def test_no_row_depends_on_the_logits_of_another(student, seed):
    """After a first 0 the logits are large and only 0 is possible, after a first 1 they are small and only 1 is, for 10 values.

    The second value is 0 in all rows: rows that agree there go on as their first values say.
    """
    m, after_0, after_1 = 12, torch.tensor([[1e4, -math.inf]]), torch.tensor([[-math.inf, -1e4]])
    of_length = [torch.cat([row.expand(2**j, 2) for row in (after_0, after_1)]) for j in range(m - 1)]  # by the prefixes' first value
    of_length[0] = after_0.expand(2, 2)
    x = student.sample(prefix_table(torch.cat([torch.zeros(1, 2), *of_length])), 64, m, student.generator(seed))
    assert_form(x, (64, m))
    only = x[:, :1] * (torch.arange(m) != 1)
    wrong = x != only
    if wrong.any(dim=1).sum() > STRAYS:
        row, j = wrong.nonzero()[0].tolist()
        right = "0" if j == 1 else "its first value"
        raise Mismatch("value", f"value {j} (from 0) of a sample is not {right}, which is impossible", x[row])
