"""How many numbers a categorical model of many variables takes (slide 30)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_dtype

num_parameters = pytest.mark.exercise("histogram.num_parameters")
weight = pytest.mark.weight
examples = pytest.mark.examples

FIVE_OF_THREE = {0: 10, 1: 26, 2: 62, 3: 134, 4: 242, 5: 242, 9: 242, None: 242}  # five variables of three values, by order


@num_parameters
@weight(0.5)
@pytest.mark.parametrize(("order", "count"), [(0, 784), (1, 1567), (None, 2**784 - 1)])
def test_binary_mnist_needs_these_many_parameters(student, order, count):
    """The numbers that the slide asks for, exactly: independent pixels, a first-order Markov chain, the full joint."""
    assert_agrees(student.num_parameters(784, 2, order), count)


@num_parameters
@weight(0.125)
def test_five_variables_of_three_values(student):
    """With orders 0, 1, 2, 3 there are 10, 26, 62 and 134 free parameters; from 4 on it is the full joint, of 243 states.

    One variable of three values has 2; 35, 39 and 40 have 3^35 - 1, 3^39 - 1 and 3^40 - 1 in their joint, which no float holds;
    and a hundred of 256 values with ten before each have more than 64 bits hold.
    """
    for order, count in FIVE_OF_THREE.items():
        assert_agrees(student.num_parameters(5, 3, order), count)
    assert_agrees(student.num_parameters(1, 3, 0), 2)
    for m, order in ((35, None), (39, 38), (40, None), (40, 99)):  # 99 are more than there are before
        assert_agrees(student.num_parameters(m, 3, order), 3**m - 1)
    assert_agrees(student.num_parameters(1, 3, None), 2)
    assert_agrees(student.num_parameters(100, 256, 10), 22951 * 256**10 - 1)


@num_parameters
@weight(0.125)
@examples(12)
@given(m=st.integers(1, 12), K=st.integers(1, 6), order=st.none() | st.integers(0, 14))
@example(m=784, K=256, order=3)
@example(m=784, K=3, order=None)  # beyond what a float holds exactly
@example(m=60, K=3, order=36)
@example(m=2, K=4, order=13)  # more than all that come before
@example(m=3072, K=256, order=0)
@example(m=40, K=1, order=None)
@example(m=1, K=1, order=0)
@example(m=7, K=1, order=3)
def test_parameters_are_counted_table_by_table(student, ref, m, K, order):
    """Every variable has a table row for each context that it may see, in any order of dependence, at any size."""
    assert_agrees(student.num_parameters(m, K, order), ref.num_parameters(m, K, order))


@num_parameters
@weight(0.125)
@examples(8)
@given(m=st.integers(1, 50), order=st.none() | st.integers(0, 50))
@example(m=1, order=0)
@example(m=4, order=None)
@example(m=4, order=2)
def test_one_value_leaves_nothing_to_learn(student, m, order):
    """Variables with a single value have no free parameters."""
    assert_agrees(student.num_parameters(m, 1, order), 0)


@num_parameters
@weight(0.042)
def test_the_number_is_a_python_int(student):
    """The number of parameters is a Python int, which is exact at any size."""
    assert_dtype(student.num_parameters(3, 2, 1), int)
