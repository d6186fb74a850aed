"""Straight lines from noise to data, the regression on their velocities, and the pairs that make them short."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import Mismatch, assert_agrees, assert_dtype, assert_form, assert_unchanged
from grader.checks.families.shared import draw
from grader.checks.families.shared.gradients import assert_gradients_known
from grader.checks.families.shared.velocities import tanh_velocity, time_velocity

conditional_path = pytest.mark.exercise("flow_matching.conditional_path")
flow_matching_loss = pytest.mark.exercise("flow_matching.flow_matching_loss")
optimal_pairs = pytest.mark.exercise("flow_matching.optimal_pairs")
weight = pytest.mark.weight
examples = pytest.mark.examples

sizes = st.sampled_from([(2, 3), (2, 4), (3, 2), (4, 2), (4, 3)])  # square batches have checks of their own


def ends(n: int, m: int, key: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Noise, data, and a time for each row."""
    x0, x1 = draw.normal((n, m), key, 1.0, dtype), draw.normal((n, m), key + 1, 2.0, dtype)
    return x0, x1, draw.uniform((n,), key + 2, dtype=dtype)


# -- conditional_path --


@conditional_path
@weight(0.5)
def test_points_of_a_line_known_by_hand(student):
    """A quarter of the way, 17/64, at the start and at the end; the velocity is the whole way, at every time."""
    for dtype in draw.DTYPES:
        x0 = draw.tensor([[0.0, 8.0], [1.0, 2.0], [3.0, 4.0]], dtype)
        x1, t = draw.tensor([[12.0, 0.0], [5.0, 6.0], [-7.0, 0.0]], dtype), draw.tensor([0.25, 0.0, 1.0], dtype)
        want = draw.tensor([[3.0, 6.0], [1.0, 2.0], [-7.0, 0.0]]), draw.tensor([[12.0, -8.0], [4.0, 4.0], [-10.0, -4.0]])
        assert_agrees(student.conditional_path(x0, x1, t), want, like=torch.float32, scale=20.0)
        near = draw.tensor([0.25, 0.265625], dtype)
        want = draw.tensor([[3.0, 6.0], [2.0625, 3.0625]]), want[1][:2]
        assert_agrees(student.conditional_path(x0[:2], x1[:2], near), want, like=torch.float32, scale=20.0)


@conditional_path
@weight(0.2)
@examples(3)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 2), key=0, dtype=torch.float32)
@example(size=(2, 4), key=1, dtype=torch.float64)
def test_a_line_leads_from_noise_to_data(student, ref, size, key, dtype):
    """Each row is on its own line, at its own time."""
    n, m = size
    given_ = ends(n, m, key, dtype)
    assert_agrees(student.conditional_path(*given_), ref.conditional_path(*given_), like=dtype, scale=20.0)


@conditional_path
@weight(0.1)
def test_a_line_of_one_row_a_square_batch_and_many_lines(student):
    """n = 1 and m = 1 are legal, and n = m; so are 1031 rows."""
    x0, x1, t = draw.tensor([[0.0, 8.0], [3.0, 4.0]]), draw.tensor([[12.0, 0.0], [-7.0, 0.0]]), draw.tensor([0.25, 1.0])
    x, way = draw.tensor([[3.0, 6.0], [-7.0, 0.0]]), draw.tensor([[12.0, -8.0], [-10.0, -4.0]])
    assert_agrees(student.conditional_path(x0, x1, t), (x, way), like=torch.float32, scale=20.0)
    for rows in (torch.tensor([0]), draw.integers((1031,), 0, 2)):
        got = student.conditional_path.strided(x0[rows, :1], x1[rows, :1], t[rows])
        assert_agrees(got, (x[rows, :1], way[rows, :1]), like=torch.float32, scale=20.0)


@conditional_path
@weight(0.1)
def test_a_line_has_gradients(student):
    """Point and velocity can be differentiated in both ends, the point in the time, too."""
    x0, x1, t = draw.tensor([[0.0, 8.0], [3.0, 4.0]]), draw.tensor([[12.0, 0.0], [-7.0, 0.0]]), draw.tensor([0.25, 1.0])
    known = {
        "x0": (x0, [[0.75 - 1, 1.5], [0.0, -2.0]]),
        "x1": (x1, [[0.25 + 1, 0.5], [3.0, -1.0 + 2]]),
        "t": (t, [12.0 - 2 * 8, -3 * 10.0 + 4]),
    }
    weights = [draw.tensor([[1.0, 2.0], [3.0, -1.0]]), draw.tensor([[1.0, 0.0], [0.0, 2.0]])]
    assert_gradients_known(student.conditional_path, [x0, x1, t], known, weights=weights)


@conditional_path
@weight(0.033)
def test_a_line_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        got = assert_unchanged(student.conditional_path.observed(*ends(2, 2, 0, dtype)))
        if not isinstance(got, tuple | list) or len(got) != 2:
            raise Mismatch("type", "this is not a pair of tensors, point and velocity", got)
        assert_dtype(got[0], dtype, what="the point")
        assert_dtype(got[1], dtype, what="the velocity")


# -- flow_matching_loss --


@flow_matching_loss
@weight(0.7)
def test_flow_matching_losses_known_by_hand(student):
    """A field that stands still is off by the whole way, 16 + 64 and 9; the field x + t b is asked on the line."""
    for dtype in draw.DTYPES:
        x0, x1 = draw.tensor([[0.0, 8.0], [1.0, 2.0]], dtype), draw.tensor([[4.0, 0.0], [1.0, 5.0]], dtype)
        t = draw.tensor([0.25, 0.5], dtype)
        zero, one = torch.zeros(2, 2, dtype=dtype), torch.eye(2, dtype=dtype)
        got = student.flow_matching_loss(time_velocity(zero, zero[0]), x0, x1, t)
        assert_agrees(got, draw.tensor(44.5), like=torch.float32, scale=100.0)
        got = student.flow_matching_loss(time_velocity(one, draw.tensor([4.0, 0.0], dtype)), x0, x1, t)
        # at (1, 6) it says (2, 6), of the way (4, -8); at (1, 3.5) it says (3, 3.5), of the way (0, 3)
        assert_agrees(got, draw.tensor((4 + 196 + 9 + 0.25) / 2), like=torch.float32, scale=300.0)
        ends = draw.tensor([0.0, 1.0], dtype)  # where a field t (100, 0), of the way (4, -8) and (0, 3), says (0, 0) and (100, 0)
        got = student.flow_matching_loss(time_velocity(zero, draw.tensor([100.0, 0.0], dtype)), x0, x1, ends)
        assert_agrees(got, draw.tensor((16 + 64 + 1e4 + 9) / 2), like=torch.float32, scale=2e4)
        near = draw.tensor([0.5, 0.53125], dtype)  # where a field t (64, 0) says (32, 0) and (34, 0)
        got = student.flow_matching_loss(time_velocity(zero, draw.tensor([64.0, 0.0], dtype)), x0, x1, near)
        assert_agrees(got, draw.tensor((28**2 + 64 + 34**2 + 9) / 2), like=torch.float32, scale=4e3)


@flow_matching_loss
@weight(0.5)
@examples(3)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 2), key=0, dtype=torch.float32)
@example(size=(2, 4), key=1, dtype=torch.float64)
def test_the_field_is_compared_with_the_velocity_on_the_line(student, ref, size, key, dtype):
    """Squares are added up over the dimensions and averaged over the rows, each at its own time, from 0 to 1."""
    v = tanh_velocity(draw.normal((5, size[1]), key, 1.0, dtype), draw.normal((size[1], 5), key + 1, 1.0, dtype))
    n, m = size
    x0, x1, t = ends(n, m, key + 2, dtype)
    t[0], t[-1] = 1.0, 0.0
    want = ref.flow_matching_loss(v, x0, x1, t)
    assert_agrees(student.flow_matching_loss(v, x0, x1, t), want, like=dtype, scale=100 + 20 * want)


@flow_matching_loss
@weight(0.2)
def test_the_flow_matching_loss_of_single_and_of_many_rows(student):
    """n = 1 and m = 1 are legal; of 4099 rows the last counts, too, and rows of one time count each."""
    x0, x1, t = draw.tensor([[0.0, 8.0], [1.0, 2.0]]), draw.tensor([[4.0, 0.0], [1.0, 5.0]]), draw.tensor([0.25, 0.5])
    still = time_velocity(torch.zeros(2, 2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64))
    got = student.flow_matching_loss.strided(still, x0[[0, 1, 1]], x1[[0, 1, 1]], t[[0, 1, 1]])
    assert_agrees(got, draw.tensor((80 + 9 + 9) / 3), like=torch.float32, scale=100.0)
    for n, m, want in ((1, 2, 80.0), (2, 1, 8.0), (1, 1, 16.0)):  # a field that stands still
        still = time_velocity(torch.zeros(m, m, dtype=torch.float64), torch.zeros(m, dtype=torch.float64))
        got = student.flow_matching_loss.strided(still, x0[:n, :m], x1[:n, :m], t[:n])
        assert_agrees(got, draw.tensor(want), like=torch.float32, scale=100.0)
    many = torch.zeros(4099, 1, dtype=torch.float64)
    many[-1] = 4099.0**0.5
    got = student.flow_matching_loss.strided(still, 0 * many, many, many[:, 0] * 0)
    assert_agrees(got, draw.tensor(1.0), like=torch.float32, scale=4.0)


@flow_matching_loss
@weight(0.45)
def test_the_flow_matching_loss_trains_the_field(student):
    """Gradients reach what the field holds, and both ends of the lines."""
    x0, x1, t = draw.tensor([[0.0, 8.0], [1.0, 2.0]]), draw.tensor([[4.0, 0.0], [1.0, 5.0]]), draw.tensor([0.25, 0.5])
    A, b = torch.eye(2, dtype=torch.float64), draw.tensor([4.0, 0.0])
    # at (1, 6) and (1, 7/2) it is off by (-2, 14) and (3, 1/2)
    known = {
        "A": (A, [[-2.0 + 3, -12.0 + 10.5], [14.0 + 0.5, 84.0 + 1.75]]),
        "b": (b, [-0.5 + 1.5, 3.5 + 0.25]),
        "x0": (x0, [[1.75 * -2, 1.75 * 14], [1.5 * 3, 1.5 * 0.5]]),  # 1 - t through the field, and 1 through the velocity
        "x1": (x1, [[-0.75 * -2, -0.75 * 14], [-0.5 * 3, -0.5 * 0.5]]),
        "t": (t, [-2 * 8.0 - 14 * 8, 3 * 4.0 + 0.5 * 3]),  # b and the way (4, -8) or (0, 3) through A
    }
    assert_gradients_known(student.flow_matching_loss, [time_velocity(A, b), x0, x1, t], known, scale=200.0)


@flow_matching_loss
@weight(0.05)
def test_the_flow_matching_loss_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        x0, x1, t = ends(2, 2, 0, dtype)
        v = time_velocity(torch.ones(2, 2, dtype=dtype), x0[0])
        assert_dtype(assert_unchanged(student.flow_matching_loss.observed(v, x0, x1, t)), dtype)


# -- optimal_pairs --


def assert_permutation(got: object, n: int) -> Tensor:
    """The answer as a permutation, or a `Mismatch`."""
    assert_form(got, (n,))
    assert isinstance(got, Tensor)
    if got.is_floating_point() and (got != got.round()).any() or sorted(got.long().tolist()) != list(range(n)):
        raise Mismatch("value", f"{got.tolist()} is no permutation of 0..{n - 1}", got)
    return got.long()


@optimal_pairs
@weight(0.7)
def test_pairs_known_by_hand(student):
    """Three points and the same three moved a little, in another order: each finds itself again, by its index in x1."""
    for dtype in draw.DTYPES:
        x0 = draw.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [7.0, 7.0]], dtype)
        perm = torch.tensor([2, 0, 3, 1])
        x1 = torch.empty_like(x0)
        x1[perm] = x0 + draw.tensor([0.5, -0.25], dtype)
        assert_agrees(student.optimal_pairs(x0, x1), perm)
        line = draw.tensor([[0.0], [2.0]], dtype)  # the nearest for both is the same one
        assert_agrees(student.optimal_pairs(line, draw.tensor([[3.0], [100.0]], dtype)), torch.tensor([0, 1]))
        # to leave (1, 1) where it is saves 10 and costs 14 elsewhere: 10 + 2 + 2 is less than 0 + 16 + 2
        x0, x1 = draw.tensor([[1.0, 1.0], [0.0, 0.0], [4.0, 1.0]], dtype), draw.tensor([[1.0, 1.0], [3.0, 0.0], [0.0, 4.0]], dtype)
        assert_agrees(student.optimal_pairs(x0, x1), torch.tensor([2, 0, 1]))
        # three points of a circle, and the same turned by 70 degrees: 50 degrees back is nearer, yet no swap of two helps
        third = 2 * math.pi / 3 * torch.arange(3, dtype=torch.float64)
        x0, x1 = (torch.stack([angle.cos(), angle.sin()], dim=1).to(dtype) for angle in (third, third + 7 * math.pi / 18))
        assert_agrees(student.optimal_pairs(x0, x1), torch.tensor([2, 0, 1]))
        five = draw.tensor([[0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 9.0, 0.0, 0.0, 0.0]], dtype)  # the second dimension decides
        assert_agrees(student.optimal_pairs(five, draw.tensor([[0.0, 9.0, 0.0, 0.0, 0.0], [1.0] + [0.0] * 4], dtype)), torch.tensor([1, 0]))
        x0, x1 = (
            draw.tensor([[0.0], [0.125], [10.0]], dtype),
            draw.tensor([[0.125], [0.0], [-10.0]], dtype),
        )  # in order: 197.5, else 200 or more
        assert_agrees(student.optimal_pairs(x0, x1), torch.tensor([2, 1, 0]))
        far = draw.tensor([[1e4], [1e4 + 0.5]], dtype)  # products would have no digits left for the distance
        assert_agrees(student.optimal_pairs(far, far.flip(0)), torch.tensor([1, 0]))


@optimal_pairs
@weight(0.8)
@examples(6)
@given(n=st.integers(3, 7), m=st.integers(2, 3), key=draw.seeds, dtype=draw.dtypes)
@example(n=7, m=2, key=8, dtype=torch.float32)
@example(n=6, m=3, key=1, dtype=torch.float64)
def test_no_other_pairs_are_shorter(student, ref, n, m, key, dtype):
    """The sum of the squared lengths is the least of all permutations: neither the nearest for each nor swaps of two find it."""
    x0, x1 = draw.normal((n, m), key, 1.0, dtype), draw.normal((n, m), key + 1, 0.5, dtype) + 1
    perm = assert_permutation(student.optimal_pairs(x0, x1), n)
    cost = (x0.double() - x1.double()[perm]).square().sum()
    what = "the sum of the squared lengths of your pairs"
    assert_agrees(cost, ref.least_cost(x0, x1), like=dtype, scale=4 * n * (1 + cost), what=what)


@optimal_pairs
@weight(0.3)
def test_pairs_of_one_row_of_one_dimension_and_of_equal_rows(student):
    """n = 1 and m = 1 are legal; where rows are equal any of them will do."""
    one = draw.tensor([[3.0]])
    assert_agrees(student.optimal_pairs.strided(one, one + 1), torch.tensor([0]))
    twins = draw.tensor([[1.0], [1.0], [5.0]])
    perm = assert_permutation(student.optimal_pairs.strided(twins, twins.flip(0)), 3)
    if perm[2] != 0:
        raise Mismatch("value", f"the row 5 is paired with row {perm[2].item()} of x1", perm, expected="row 0, which is 5, too")


@optimal_pairs
@weight(0.067)
def test_pairs_are_whole_numbers(student):
    """The permutation is an int64 tensor, ready to index with; the points stay as they are."""
    x0, x1 = draw.tensor([[2.0], [1.0]]), draw.tensor([[1.0], [3.0]])
    assert_dtype(assert_unchanged(student.optimal_pairs.observed(x0, x1)), torch.int64)
