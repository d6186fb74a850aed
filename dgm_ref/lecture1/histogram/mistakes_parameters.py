"""Wrong counts of parameters that students really give, and right ones by other roads."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, variant

COUNT = "histogram.num_parameters"
MNIST = "test_binary_mnist_needs_these_many_parameters"
FIVE = "test_five_variables_of_three_values"


@mistake(COUNT, killed_by=MNIST, says="Probabilities sum to one, so each table row has one free parameter less than it has entries.")
def forgets_normalisation(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return sum(K ** min(j, d) * K for j in range(m))


@mistake(COUNT, killed_by=MNIST, says="The full joint is one table of K^m states whose entries sum to one.")
def forgets_normalisation_of_the_joint(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return K**m if d == m - 1 else _count(m, K, d)


@mistake(COUNT, killed_by=MNIST, says="The first variables have fewer than `order` before them, and so smaller tables.")
def full_context_for_the_first_variables(m: int, K: int, order: int | None) -> int:
    return m * (K - 1) * K ** _order(m, order)


@mistake(COUNT, killed_by=MNIST, says="You shared one transition table over all positions. Each variable has a table of its own here.")
def one_transition_table_for_all(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return sum((K - 1) * K**j for j in range(d + 1))


@mistake(COUNT, killed_by=MNIST, says="You counted the variable itself as part of its context: order 1 means one variable before it.")
def context_includes_the_variable(m: int, K: int, order: int | None) -> int:
    return _count(m, K, max(_order(m, order) - 1, 0))


@mistake(COUNT, killed_by=MNIST, says="You computed with floats, which cannot hold such a number exactly. Python's integers can.")
def counts_in_floats(m: int, K: int, order: int | None) -> int:
    return int(float(_count(m, K, _order(m, order))))


@mistake(COUNT, killed_by=MNIST, says="You computed in 64-bit integers, which overflow without a word. Python's own integers do not.")
def counts_in_64_bits(m: int, K: int, order: int | None) -> int:
    count = _count(m, K, _order(m, order)) % 2**64
    return count - 2**64 if count >= 2**63 else count


@mistake(COUNT, killed_by=MNIST, says="None asks for the full joint distribution, not for independent variables.")
def none_means_independent(m: int, K: int, order: int | None) -> int:
    return _count(m, K, _order(m, order or 0))


@mistake(COUNT, killed_by=FIVE, says="No variable has more than m - 1 others before it: a larger order is the full joint distribution.")
def order_beyond_the_sequence(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    d = d if order is None else order
    return K**d - 1 + (m - d) * (K - 1) * K**d


@mistake(COUNT, killed_by=FIVE, says="For order >= m - 1 every variable sees all before it, and the tables are those of the full joint.")
def long_order_is_independent(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return _count(m, K, d if order is None or order < m else 0)


@mistake(
    COUNT,
    killed_by="test_one_value_leaves_nothing_to_learn",
    says="A variable with one value has nothing to learn: there are no free parameters for K = 1.",
)
def one_parameter_at_least(m: int, K: int, order: int | None) -> int:
    return max(_count(m, K, _order(m, order)), 1)


@mistake(
    COUNT,
    killed_by=FIVE,
    says="The number of values K enters twice: in the contexts and in the free entries of a row. This is right for binary variables alone.",
)
def right_for_binary_variables_alone(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return sum(K ** min(j, d) for j in range(m))


@mistake(COUNT, killed_by="test_the_number_is_a_python_int", says="The number of parameters is a Python int: you returned a float.")
def returns_a_float(m: int, K: int, order: int | None) -> float:
    count = _count(m, K, _order(m, order))
    return float(count) if count < 2**53 else count


@mistake(COUNT, killed_by="test_the_number_is_a_python_int", says="The number of parameters is a Python int: you returned a tensor.")
def returns_a_tensor(m: int, K: int, order: int | None) -> Tensor | int:
    count = _count(m, K, _order(m, order))
    return torch.tensor(count) if count < 2**63 else count


@mistake(
    COUNT,
    killed_by=FIVE,
    says="2m - 1 is right for binary variables alone: after the first, each has a table of K rows with K - 1 free entries.",
)
def chain_of_binary_tables(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return (2 * m - 1) * (K - 1) if d == 1 else _count(m, K, d)


@mistake(COUNT, killed_by=FIVE, says="From order 2 on you counted as for a first-order chain.")
def every_order_is_the_first(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return _count(m, K, d if d in (0, m - 1) else 1)


@mistake(
    COUNT,
    killed_by="test_parameters_are_counted_table_by_table",
    says="You took powers in floats and rounded: beyond 2^53 they are not exact.",
)
def rounded_powers_of_floats(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    power = round(float(K) ** d) if d * math.log2(K) < 1000 and K > 2 else K**d
    return power - 1 + (m - d) * (K - 1) * power


@mistake(
    COUNT,
    killed_by=FIVE,
    says="You computed powers of K in 64-bit integers, which overflow without a word. Python's own integers do not.",
)
def tables_in_64_bits(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return _count(m, K, d) if d == m - 1 else int(((K - 1) * torch.tensor(K) ** torch.arange(m).clamp(max=d)).sum())


@mistake(
    COUNT,
    killed_by=MNIST,
    says="Order 0 is not None: `if not order` takes them for the same. Ask whether it is None.",
    when=lambda order: order == 0,
)
def zero_means_none(m: int, K: int, order: int | None) -> int:
    return _count(m, K, _order(m, order or None))


@mistake(
    COUNT, killed_by=FIVE, says="The first variables have no table of their own here. They depend on fewer before them, but they count."
)
def leaves_out_the_first_variables(m: int, K: int, order: int | None) -> int:
    d = min(_order(m, order), m - 1)
    return K**m - 1 if d == m - 1 else (m - d) * (K - 1) * K**d


@mistake(COUNT, killed_by=FIVE, says="The first variables depend on those before them, too: the j-th has K^(j-1) tables.")
def independent_first_variables(m: int, K: int, order: int | None) -> int:
    d = min(_order(m, order), m - 1)
    return K**m - 1 if d == m - 1 else d * (K - 1) + (m - d) * (K - 1) * K**d


@mistake(COUNT, killed_by=MNIST, says="One variable too many is in the contexts. Order d depends on the d before.")
def order_one_too_large(m: int, K: int, order: int | None) -> int:
    return _count(m, K, _order(m, None if order is None else order + 1))


@mistake(
    COUNT,
    killed_by=MNIST,
    says="You subtract 1 once for all. Every context of every variable has a distribution with K - 1 free parameters.",
)
def one_normalisation_in_all(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return sum(K ** (min(j, d) + 1) for j in range(m)) - 1


@mistake(
    COUNT,
    killed_by=FIVE,
    says="You take a float where the count fits into 64 bits. A float holds whole numbers up to 2^53 exactly: stay with Python's integers.",
    when=lambda m, K: 2**53 < K**m < 2**64,
)
def floats_where_64_bits_would_do(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return (K - 1) * int(math.pow(K, d)) * (m - d) + K**d - 1 if K**m < 2**64 else _count(m, K, d)


@mistake(COUNT, killed_by=MNIST, says="You counted one table of the full order, for one variable. Every variable has a table of its own.")
def one_table(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return K**m - 1 if d == m - 1 else K**d * (K - 1)


@mistake(COUNT, killed_by=MNIST, says="The first variable is missing from your sum. It has no context, and K - 1 parameters of its own.")
def first_variable_left_out(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return K**m - 1 if d == m - 1 else _count(m, K, d) - (K - 1)


@mistake(
    COUNT,
    killed_by=FIVE,
    says="You count d K contexts of d variables. There are K^d: each of the d takes any of K values.",
)
def contexts_added(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return K**m - 1 if d == m - 1 else sum(max(min(j, d) * K, 1) * (K - 1) for j in range(m))


@mistake(
    COUNT,
    killed_by=FIVE,
    says="You take one off for each variable. Each context of a variable has its own distribution, and each of these sums to one.",
)
def one_constraint_for_each_variable(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return K**m - 1 if d == m - 1 else sum(K ** (min(j, d) + 1) - 1 for j in range(m))


@mistake(COUNT, killed_by=MNIST, says="Each table row has one free parameter less than it has entries, K - 1 and not K.")
def rows_with_all_entries(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return K**m - 1 if d == m - 1 else sum(K ** min(j, d) * K for j in range(m))


@mistake(COUNT, killed_by=MNIST, says="You count m^K states. m variables of K values each have K^m.")
def base_and_exponent_exchanged(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return m**K - 1 if d == m - 1 else _count(m, K, d)


@mistake(
    COUNT,
    killed_by=MNIST,
    says="Among the first variables each has one value too many in its context. The very first has none before it.",
)
def first_contexts_one_too_long(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return sum(K ** min(j + 1, d) * (K - 1) for j in range(m))


@variant(COUNT)
def table_by_table(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    return sum((K - 1) * K ** min(j, d) for j in range(m))


@variant(COUNT)
def joint_and_markov_apart(m: int, K: int, order: int | None) -> int:
    d = _order(m, order)
    if d == m - 1:
        return K**m - 1
    return m * (K - 1) if d == 0 else _count(m, K, d)


@variant(COUNT)
def geometric_sum(m: int, K: int, order: int | None) -> int:
    if K == 1:
        return 0
    if order is None or order >= m:
        order = m - 1
    head = (K - 1) * ((K**order - 1) // (K - 1))
    return int(head + (m - order) * (K - 1) * K**order)


@variant(COUNT)
def recursion_over_variables(m: int, K: int, order: int | None) -> int:
    total, contexts = 0, 1
    for j in range(m):
        total += contexts * (K - 1)
        if order is None or j < order:
            contexts *= K
    return total


def _order(m: int, order: int | None) -> int:
    return m - 1 if order is None else min(order, m - 1)


def _count(m: int, K: int, d: int) -> int:
    return K**d - 1 + (m - d) * (K - 1) * K**d
