"""Expectations from samples (slides 25 and 26): Monte Carlo and its error, LOTUS, and the pushforward of a pmf."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_form, assert_gradient_agrees, assert_no_trace, refuses
from grader.checks.lecture1.course_tricks.draw import assert_moving_mass, dims, sizes, vector_map, vector_maps
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.families import affine, constant, elementwise, scaled

monte_carlo = pytest.mark.exercise("course_tricks.monte_carlo")
standard_error = pytest.mark.exercise("course_tricks.monte_carlo_standard_error")
lotus = pytest.mark.exercise("course_tricks.lotus")
pushforward = pytest.mark.exercise("course_tricks.pushforward_pmf")
weight = pytest.mark.weight
examples = pytest.mark.examples

square, identity = elementwise("square"), elementwise("identity")
two_samples, three_samples = torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0], [1.0], [4.0]])


# -- monte_carlo --


@monte_carlo
@weight(0.75)
@examples(10)
@given(case=vector_maps())
@example(case=vector_map("square", n=1, m=1, d=1, key=0, dtype=torch.float32))
@example(case=vector_map("square", n=5, m=2, d=3, key=0, dtype=torch.float64))
@example(case=vector_map("softmax", n=2, m=3, d=2, key=0, dtype=torch.float32))
def test_monte_carlo_averages_f_over_the_samples(student, ref, case):
    """Every component of f is averaged over the samples, each sample with the same weight."""
    assert_agrees(student.monte_carlo(case.f, case.x), ref.monte_carlo(case.f, case.x), like=case.x, scale=case.size)


@monte_carlo
@weight(0.5)
@examples(5)
@given(n=sizes(), d=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=1, d=1, key=0, dtype=torch.float32)
def test_expectation_of_a_constant_is_the_constant(student, n, d, key, dtype):
    """The expectation of a constant is that constant, whatever the samples, for one sample as for many."""
    c = draw.normal((d,), key, dtype=dtype)
    assert_agrees(student.monte_carlo(constant(c), draw.normal((n, 2), key + 1, dtype=dtype)), c.double(), like=dtype)


@monte_carlo
@weight(0.25)
def test_expectation_of_the_square_is_not_the_square_of_the_expectation(student):
    """Averaging the squares of 1 and 3 gives 5; squaring their average would give 4."""
    assert_agrees(student.monte_carlo(square, two_samples), torch.tensor([5.0]))


@monte_carlo
@weight(0.5)
@examples(5)
@given(n=sizes(), m=dims, d=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=4, m=3, d=2, key=0, dtype=torch.float32)
def test_monte_carlo_has_the_gradient_of_an_average(student, n, m, d, key, dtype):
    """For f(x) = A x + b the estimate is A times the mean sample plus b: so are its gradients by A, b and x."""
    A, b = draw.normal((d, m), key, dtype=dtype), draw.normal((d,), key + 1, dtype=dtype)
    x, w = draw.normal((n, m), key + 2, dtype=dtype), draw.normal((d,), key + 3, dtype=dtype)
    _, (by_A, by_b, by_x) = student.monte_carlo.gradient(affine(A, b), x, wrt=[A, b, x], weights=w)
    size = float(w.abs().amax() * (1 + x.abs().amax() + A.abs().sum()))
    w, A_t = w.double(), A.double().T
    assert_gradient_agrees(by_A, torch.outer(w, x.double().mean(dim=0)), of="A", like=dtype, scale=size)
    assert_gradient_agrees(by_b, w, of="b", like=dtype, scale=size)
    assert_gradient_agrees(by_x, (A_t @ w / n).expand(n, m), of="x", like=dtype, scale=size)


@monte_carlo
@weight(0.5)
def test_monte_carlo_refuses_to_average_nothing(student):
    """Without samples, or without dimensions, there is nothing to average; one sample is enough."""
    assert_agrees(student.monte_carlo(identity, torch.tensor([[2.5]])), torch.tensor([2.5]))
    with refuses("x", "n"):
        student.monte_carlo(identity, torch.zeros(0, 2))
    with refuses("x", "m"):
        student.monte_carlo(constant(torch.ones(1)), torch.zeros(3, 0))


@monte_carlo
@weight(0.5)
def test_monte_carlo_leaves_no_trace(student):
    """The estimate changes nothing it is given, draws nothing, prints nothing."""
    observed = student.monte_carlo.observed(identity, two_samples)  # here f(x) is x itself, not a copy
    assert_agrees(observed.value, torch.tensor([2.0]))
    assert_no_trace(observed)


# -- monte_carlo_standard_error --


@standard_error
@weight(0.5)
@examples(10)
@given(case=vector_maps(low=2))
@example(case=vector_map("square", n=2, m=1, d=1, key=0, dtype=torch.float32))
@example(case=vector_map("identity", n=7, m=2, d=3, key=0, dtype=torch.float64))
def test_standard_error_is_the_sample_deviation_over_root_n(student, ref, case):
    """The standard error of every component is its sample standard deviation over the root of n."""
    got = student.monte_carlo_standard_error(case.f, case.x)
    assert_agrees(got, ref.monte_carlo_standard_error(case.f, case.x), like=case.x, scale=case.size)


@standard_error
@weight(0.25)
@examples(6)
@given(a=st.integers(-50, 50), b=st.integers(-50, 50), dtype=draw.dtypes)
@example(a=1, b=3, dtype=torch.float32)
@example(a=2, b=2, dtype=torch.float64)
def test_two_samples_disagree_by_twice_the_standard_error(student, a, b, dtype):
    """For two samples the standard error is half their distance."""
    got = student.monte_carlo_standard_error(identity, torch.tensor([[a], [b]], dtype=dtype))
    assert_agrees(got, torch.tensor([abs(a - b) / 2], dtype=torch.float64), like=dtype, scale=50.0)


@standard_error
@weight(0.25)
@examples(6)
@given(n=sizes(3), offset=st.sampled_from([-3e4, 1e4, 1e5]), key=draw.seeds, dtype=draw.dtypes)
@example(n=8, offset=1e5, key=0, dtype=torch.float32)
def test_standard_error_survives_a_large_mean(student, ref, n, offset, key, dtype):
    """A large common offset of all values leaves their spread as it is, and does not drown it."""
    x = (offset + draw.normal((n, 1), key, scale=10.0, dtype=torch.float64)).to(dtype)
    want = ref.monte_carlo_standard_error(identity, x)
    assert_agrees(student.monte_carlo_standard_error(identity, x), want, like=dtype, scale=abs(offset))


@standard_error
@weight(0.25)
def test_standard_error_needs_two_samples(student):
    """The spread of a single sample is not known, and that of none even less."""
    assert_agrees(student.monte_carlo_standard_error(identity, three_samples), torch.tensor([1.0]))
    for too_few in (0, 1):
        with refuses("x", "n"):
            student.monte_carlo_standard_error(identity, torch.zeros(too_few, 2))
    with refuses("x", "m"):
        student.monte_carlo_standard_error(constant(torch.ones(1)), torch.zeros(3, 0))


@standard_error
@weight(0.5)
@examples(5)
@given(n=sizes(2), key=draw.seeds, dtype=draw.dtypes)
@example(n=2, key=0, dtype=torch.float32)
def test_standard_error_is_homogeneous_and_so_is_its_gradient(student, n, key, dtype):
    """Scaling f by c scales the standard error by |c|: so its derivative by c is itself, with the sign of c."""
    c = draw.uniform((1, 1), key, 0.5, 2, dtype) * (-1) ** (key % 2)
    x = draw.normal((n, 1), key + 1, dtype=dtype)
    x[0] = x[1:].amax() + 1  # not all equal: the derivative exists
    f, size = affine(c, torch.zeros(1, dtype=dtype)), (1 + float(x.abs().amax())) ** 2
    value, (by_c,) = student.monte_carlo_standard_error.gradient(f, x, wrt=[c])
    plain = student.monte_carlo_standard_error(identity, x)
    for result in (value, plain):
        assert_form(result, (1,), dtype)
    assert_agrees(value, plain.double() * c[0].abs(), like=dtype, scale=2 * size)
    assert_gradient_agrees(by_c, plain.double()[None] * c.sign(), of="c", like=dtype, scale=2 * size)
    _, (by_x,) = student.monte_carlo_standard_error.gradient(identity, two_samples, wrt=[two_samples])
    assert_gradient_agrees(by_x, torch.tensor([[-0.5], [0.5]]), of="x", scale=1.0)


@standard_error
@weight(0.25)
def test_standard_error_leaves_no_trace(student):
    """Estimating the error changes nothing it is given, draws nothing, prints nothing."""
    observed = student.monte_carlo_standard_error.observed(identity, three_samples)  # here f(x) is x itself, not a copy
    assert_agrees(observed.value, torch.tensor([1.0]))
    assert_no_trace(observed)


# -- lotus --


@lotus
@weight(0.25)
@examples(10)
@given(case=vector_maps(), outer=st.sampled_from(["sin", "tanh", "square", "softmax"]), key=draw.seeds)
@example(case=vector_map("square", n=4, m=2, d=3, key=0, dtype=torch.float32), outer="square", key=0)
@example(case=vector_map("abs", n=1, m=1, d=1, key=0, dtype=torch.float64), outer="sin", key=0)
def test_lotus_is_the_expectation_of_g_under_the_law_of_y(student, ref, case, outer, key):
    """Averaging g over the law of y = f(x) needs only samples of x, for an f that is not invertible as well."""
    k, dtype = case.size.shape[0], case.x.dtype
    g = vector_map(outer, n=1, m=k, d=2, key=key, dtype=dtype)
    steepness = 10 * (1 + float(case.size.amax()))  # g is built on an affine map with entries of a few units
    size = steepness**2 if outer == "square" else steepness
    assert_agrees(student.lotus(g.f, case.f, case.x), ref.lotus(g.f, case.f, case.x), like=dtype, scale=size)


@lotus
@weight(0.25)
def test_lotus_applies_f_first_to_every_sample(student):
    """For f(x) = x^2 and g(y) = y + 1 on -1, 1 and 2 every sample counts, also where f maps two of them to one y."""
    plus_one, x = affine(torch.eye(1), torch.ones(1)), torch.tensor([[-1.0], [1.0], [2.0]])
    assert_agrees(student.lotus(plus_one, square, x), torch.tensor([3.0]))
    assert_agrees(student.lotus(square, plus_one, x), torch.tensor([13.0]) / 3)


@lotus
@weight(0.25)
@examples(4)
@given(n=sizes(), k=dims, d=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=3, k=2, d=3, key=0, dtype=torch.float32)
def test_lotus_has_the_gradient_of_an_average(student, n, k, d, key, dtype):
    """For g(y) = A y + b and f(x) = c x the expectation is A c times the mean sample plus b: so are its gradients."""
    A, x = draw.normal((d, k), key, dtype=dtype), draw.normal((n, k), key + 1, dtype=dtype)
    c, w = torch.tensor(1.5, dtype=dtype), draw.normal((d,), key + 2, dtype=dtype)
    f, g = scaled(c, identity), affine(A, torch.zeros(d, dtype=dtype))
    _, (by_A, by_c) = student.lotus.gradient(g, f, x, wrt=[A, c], weights=w)
    size = float((1 + w.abs().sum()) * (1 + A.abs().sum()) * (1 + x.abs().amax()))
    mean, w = x.double().mean(dim=0), w.double()
    assert_gradient_agrees(by_A, torch.outer(w, 1.5 * mean), of="the parameters of g", like=dtype, scale=size)
    assert_gradient_agrees(by_c, w @ A.double() @ mean, of="the parameters of f", like=dtype, scale=size)


@lotus
@weight(0.25)
def test_lotus_refuses_no_samples_and_leaves_no_trace(student):
    """Without samples there is no expectation; with samples nothing but the result is left."""
    observed = student.lotus.observed(identity, identity, two_samples)  # here g(f(x)) is x itself, not a copy
    assert_agrees(observed.value, torch.tensor([2.0]))
    assert_no_trace(observed)
    with refuses("x", "n"):
        student.lotus(square, square, torch.zeros(0, 2))
    with refuses("x", "m"):
        student.lotus(square, constant(torch.ones(1)), torch.zeros(3, 0))


# -- pushforward_pmf --

values = st.integers(1, 5)
targets = st.integers(1, 5)


@pushforward
@weight(0.5)
@examples(10)
@given(p=draw.pmfs(), K=targets, key=draw.seeds)
@example(p=torch.tensor([1.0]), K=1, key=0)
@example(p=torch.tensor([0.125, 0.25, 0.125, 0.5], dtype=torch.float64), K=2, key=0)
@example(p=torch.tensor([0.125, 0.25, 0.125, 0.5]), K=9, key=0)
def test_pushforward_collects_the_mass_of_the_preimages(student, ref, p, K, key):
    """The mass of y is the mass of all x that f sends there, and nothing where no x arrives."""
    f = draw.integers((p.shape[0],), key, K)
    assert_agrees(student.pushforward_pmf(p, f, K), ref.pushforward_pmf(p, f, K), like=p)


@pushforward
@weight(0.25)
def test_masses_that_meet_add_up(student):
    """Two values of x with one image hand over both their masses, and a value of y without preimage has none."""
    got = student.pushforward_pmf(torch.tensor([0.25, 0.125, 0.125, 0.5]), torch.tensor([2, 0, 0, 2]), 4)
    assert_agrees(got, torch.tensor([0.25, 0.0, 0.75, 0.0]))


@pushforward
@weight(0.25)
@examples(6)
@given(p=draw.pmfs(), K=targets, key=draw.seeds)
@example(p=torch.tensor([0.25, 0.25, 0.5]), K=2, key=1)
def test_expectations_agree_on_both_sides(student, p, K, key):
    """The sum of p(y) g(y) over y is the sum of p(x) g(f(x)) over x, for every g."""
    f, g = draw.integers((p.shape[0],), key, K), draw.normal((K,), key + 1, dtype=torch.float64)
    got = student.pushforward_pmf(p, f, K)
    assert_form(got, (K,), p.dtype)
    over_y, over_x = (got.double() * g).sum(), (p.double() * g[f]).sum()
    assert_agrees(over_y.to(p.dtype), over_x, like=p, scale=float(g.abs().amax()), what="the sum of p(y) g(y)")


@pushforward
@weight(0.25)
@examples(5)
@given(S=values, key=draw.seeds, dtype=draw.dtypes)
@example(S=4, key=0, dtype=torch.float32)
def test_a_bijection_only_relabels(student, S, key, dtype):
    """Under a one-to-one map every y has the mass of the single x that goes there."""
    p, f = draw.pmf((S,), key, dtype=dtype), torch.randperm(S, generator=torch.Generator().manual_seed(key))
    assert_agrees(student.pushforward_pmf(p, f, S), p[f.argsort()].double(), like=dtype)


@pushforward
@weight(0.25)
@examples(5)
@given(p=draw.pmfs(), K=targets, key=draw.seeds)
@example(p=torch.tensor([0.25, 0.25, 0.5]), K=2, key=1)
def test_mass_that_moves_in_x_moves_in_y(student, p, K, key):
    """Mass that moves from one x to another moves between their images: so differ the gradients by p."""
    f, w = draw.integers((p.shape[0],), key, K), draw.normal((K,), key + 1, dtype=p.dtype)
    _, (by_p,) = student.pushforward_pmf.gradient(p, f, K, wrt=[p], weights=w)
    assert_moving_mass(by_p, w[f].double(), of="p", like=p, scale=1 + float(w.abs().amax()))


@pushforward
@weight(0.25)
def test_pushforward_refuses_what_does_not_fit(student):
    """The target has at least one value, and the table has one entry for each value of x."""
    p, f = torch.tensor([0.25, 0.75]), torch.tensor([0, 0])
    assert_agrees(student.pushforward_pmf(p, f, 1), torch.tensor([1.0]))
    with refuses("K"):
        student.pushforward_pmf(p, f, 0)
    for table in (torch.tensor([0]), torch.tensor([0, 1, 1])):
        with refuses("p", "f", "S"):
            student.pushforward_pmf(p, table, 2)


@pushforward
@weight(0.25)
def test_pushforward_leaves_no_trace(student):
    """The pmf of y is a new tensor: p and f stay as they are."""
    observed = student.pushforward_pmf.observed(torch.tensor([0.25, 0.25, 0.5]), torch.tensor([1, 1, 0]), 3)
    assert_agrees(observed.value, torch.tensor([0.5, 0.5, 0.0]))
    assert_no_trace(observed)
