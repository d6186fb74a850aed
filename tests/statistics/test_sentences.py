"""What a student reads when a random function fails."""

import math

import pytest
import torch

from grader.checking.compare import Mismatch
from grader.checking.statistics import assert_follows_pmf, assert_uniform, outcome_index

P = torch.tensor([[0.125, 0.375], [0.25, 0.25]])  # a joint of two bits


def failure(check, *args, **kwargs) -> Mismatch:
    with pytest.raises(Mismatch) as caught:
        check(*args, **kwargs)
    return caught.value


def test_a_wrong_law_is_told_by_the_outcome_that_is_furthest_off():
    g = torch.Generator().manual_seed(0)
    flat = lambda n: torch.randint(0, 4, (n,), generator=g)  # noqa: E731
    told = failure(assert_follows_pmf, flat, P)
    assert told.rung == "law"
    assert told.sentence.startswith("outcome [0, 0] is 2")
    assert told.sentence.endswith("draws (a right sampler gives this less often than 1 in 10^21)")
    assert told.expected == "12.5 %"
    assert told.want == 0.125
    assert 0.2 < told.got < 0.3


def test_a_flat_pmf_names_outcomes_by_their_number():
    told = failure(assert_follows_pmf, lambda n: torch.zeros(n, dtype=torch.int64), torch.tensor([0.5, 0.25, 0.25]))
    assert told.sentence.startswith("outcome 0 is 100 % of 64 draws")


def test_outcomes_are_called_by_the_names_that_the_check_gives_them():
    always = lambda n: torch.zeros(n, dtype=torch.int64)  # noqa: E731
    told = failure(assert_follows_pmf, always, torch.tensor([0.5, 0.5]), outcomes=["heads", "tails"])
    assert told.sentence.startswith("heads is 100 %")


@pytest.mark.parametrize(("later", "name"), [([0.8, 0.1, 0.1], "wrong"), ([0.1, 0.1, 0.8], None)])
def test_a_mistake_is_named_only_if_further_calls_bear_it_out(later, name):
    """Draws that share the first row's prefix look like one wrong law in a call and like another one in the next."""
    wrong, generator = torch.tensor([0.8, 0.1, 0.1]), torch.Generator().manual_seed(0)
    calls = iter([wrong, *[torch.tensor(later)] * 20])
    with pytest.raises(Mismatch) as failure:
        assert_follows_pmf(
            lambda n: torch.multinomial(next(calls), n, True, generator=generator),
            torch.tensor([0.25, 0.5, 0.25]), named={"wrong": wrong}, first=128,
        )  # fmt: skip
    assert failure.value.mistake == name


def test_draws_that_repeat_each_other_are_told_as_dependent():
    g = torch.Generator().manual_seed(0)
    twice = lambda n: torch.multinomial(P.flatten(), (n + 1) // 2, True, generator=g).repeat_interleave(2)[:n]  # noqa: E731
    assert "a draw repeats the draw before it too often" in failure(assert_follows_pmf, twice, P).sentence


def test_a_wrong_law_is_told_with_its_own_evidence_and_not_that_of_a_wrong_order():
    g = torch.Generator().manual_seed(1)
    eight_values = lambda n: torch.randint(0, 20, (8,), generator=g).repeat_interleave(n // 8)  # noqa: E731
    told = failure(assert_follows_pmf, eight_values, torch.full((20,), 0.05), first=512)
    power = int(told.sentence.partition("10^")[2].rstrip(")"))
    assert told.sentence.startswith("outcome")
    assert power <= 512 * math.log10(20 / 8)  # whoever bets on their order wins more


def test_a_sampler_that_restarts_its_noise_is_told_so():
    same = lambda n: torch.multinomial(P.flatten(), n, True, generator=torch.Generator().manual_seed(0))  # noqa: E731
    assert "as if its noise restarted" in failure(assert_follows_pmf, same, P).sentence


@pytest.mark.parametrize(
    ("draws", "rung"),
    [
        ([0] * 64, "type"),
        (torch.zeros(63, dtype=torch.int64), "shape"),
        (torch.full((64,), 0.5), "type"),
        (torch.full((64,), 4), "law"),
        (torch.full((64,), -1), "law"),
    ],
)
def test_what_cannot_be_draws_is_told_on_its_rung(draws, rung):
    assert failure(assert_follows_pmf, lambda n: draws, P).rung == rung


def test_nan_samples_are_not_finite():
    assert failure(assert_uniform, lambda n: torch.full((n, 1), torch.nan)).rung == "finite"


def test_samples_outside_the_support_fail_at_once():
    assert "outside the support" in failure(assert_uniform, lambda n: torch.full((n, 1), 1.5)).sentence


def test_sequences_are_numbered_as_the_joint_is_flattened():
    x = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    assert outcome_index(x, 3).tolist() == list(range(9))


def test_a_value_outside_its_range_is_told_before_it_is_numbered():
    told = failure(outcome_index, torch.tensor([[0, 3]]), 3)
    assert told.sentence == "sampled the value 3, outside 0..2"


def test_samples_of_another_rank_are_told():
    assert failure(outcome_index, torch.tensor([0, 1]), 3).rung == "rank"
