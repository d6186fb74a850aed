"""Wrong answers to ancestral sampling: rows that depend on each other, and randomness from elsewhere."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from dgm_ref.catalogue import mistake
from dgm_ref.lecture1.autoregressive.parts import Conditional, ancestral, pick, probabilities, quantile
from dgm_ref.slips import FEW, one_of_256

SAMPLE = "autoregressive.sample"
JOINT = "test_samples_follow_the_joint_law"
GENERATOR = "test_sampling_reads_its_generator_and_moves_it_on"
REPEATS = "You draw from a copy of the generator, or restart it from its seed: the next call repeats this one. Let it go on."
ROWS = "test_no_row_of_a_large_batch_repeats_or_mirrors_another"


@mistake(
    SAMPLE,
    killed_by=JOINT,
    says="All rows share one random number, so they are copies of each other wherever they can be. Each row needs noise of its own.",
)
def one_noise_for_all_rows(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        return quantile(probabilities(conditional, x, j), torch.rand(1, generator=generator).expand(n))

    return ancestral(n, m, step)


@mistake(
    SAMPLE,
    killed_by=JOINT,
    says="The random numbers of the first step are used again at every step, which ties the variables together. Draw new ones each time.",
)
def one_noise_for_all_steps(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    u = torch.rand(n, generator=generator)
    return ancestral(n, m, lambda x, j: quantile(probabilities(conditional, x, j), u))


@mistake(SAMPLE, killed_by=JOINT, says="One sequence, n times. Each row should be a sample of its own.")
def one_sequence_n_times(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    one = ancestral(1, m, lambda x, j: pick(probabilities(conditional, x, j), generator))
    return one.repeat(n, 1)


@mistake(
    SAMPLE,
    killed_by="test_throws_of_a_fair_die_are_independent",
    says="Your random numbers are spread evenly over the batch, so each call has the expected frequencies. Independent draws fluctuate.",
)
def stratified_noise(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        u = (torch.randperm(n, generator=generator) + torch.rand(n, generator=generator)) / n
        return quantile(probabilities(conditional, x, j), u)

    return ancestral(n, m, step)


@mistake(
    SAMPLE,
    killed_by="test_samples_are_n_sequences_of_m_values",
    says="A single sequence is not drawn: for n = 1 you take the likeliest value each time.",
    when=lambda n: n == 1,
)
def single_sequence_of_likeliest_values(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    if n > 1:
        return _right(conditional, n, m, generator)
    return ancestral(n, m, lambda x, j: probabilities(conditional, x, j).argmax(dim=-1))


def _right(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, j), generator))


@mistake(SAMPLE, killed_by=ROWS, says="The second half of the rows repeats the first. Each row is a draw of its own.")
def half_of_the_rows_copied(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    half = _right(conditional, (n + 1) // 2, m, generator)
    return torch.cat([half, half])[:n]


@mistake(SAMPLE, killed_by=ROWS, says="Every row comes up twice, in a random order. Each row is a draw of its own.")
def shuffled_copies(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    half = _right(conditional, (n + 1) // 2, m, generator)
    return torch.cat([half, half])[:n][torch.randperm(n, generator=generator)]


@mistake(
    SAMPLE, killed_by=ROWS, says="The last tenth of the rows repeats the first. Each row is a draw of its own.", when=lambda n: n >= 10
)
def tenth_of_the_rows_copied(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    x = _right(conditional, n, m, generator)
    return torch.cat([x[: n - n // 10], x[: n // 10]])


@mistake(
    SAMPLE, killed_by=ROWS, says="At most 1000 rows are drawn, and then repeated. Each row is a draw of its own.", when=lambda n: n > 1000
)
def first_thousand_repeated(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _right(conditional, min(n, 1000), m, generator).repeat(-(-n // 1000), 1)[:n]


@mistake(SAMPLE, killed_by=ROWS, says="You draw rows from your own rows, with replacement: some come up twice.")
def resampled_rows(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _right(conditional, n, m, generator)[torch.randint(n, (n,), generator=generator)]


@mistake(
    SAMPLE,
    killed_by=ROWS,
    says="Each random number u is used a second time as 1 - u (antithetic rows): rows of one call depend on each other.",
)
def antithetic_rows(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        u = torch.rand((n + 1) // 2, generator=generator)
        return quantile(probabilities(conditional, x, j), torch.cat([u, 1 - u])[:n])

    return ancestral(n, m, step)


@mistake(
    SAMPLE,
    killed_by=GENERATOR,
    says="You draw from torch's global random state. All randomness comes from the generator that is passed in.",
)
def ignores_the_generator(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, j), None))


@mistake(SAMPLE, killed_by=GENERATOR, says="You make a generator of your own with a fixed seed, so every call gives the same samples.")
def own_generator(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    own = Generator().manual_seed(0)
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, j), own))


@mistake(SAMPLE, killed_by=GENERATOR, says=REPEATS)
def restarts_the_generator(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    generator.manual_seed(generator.initial_seed())
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, j), generator))


@mistake(SAMPLE, killed_by=GENERATOR, says=REPEATS)
def copy_of_the_generator(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    copy = Generator()
    copy.set_state(generator.get_state())
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, j), copy))


@mistake(SAMPLE, killed_by=GENERATOR, says=FEW)
def one_of_256_samples(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    own = one_of_256(generator)
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, j), own))


@mistake(SAMPLE, killed_by=ROWS, says="Of more than 16 rows the second eight begin as the first eight do.", when=lambda n: n > 16)
def second_eight_begin_as_the_first(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        value = pick(probabilities(conditional, x, j), generator)
        return torch.cat([value[:8], value[:8], value[16:]]) if j == 0 and n > 16 else value

    return ancestral(n, m, step)


@mistake(
    SAMPLE,
    killed_by=JOINT,
    says="All rows are drawn from the conditional of the first row. Each has its own values before x_j, and so its own conditional.",
)
def conditional_of_the_first_row(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        return torch.multinomial(probabilities(conditional, x, j)[0], n, replacement=True, generator=generator)

    return ancestral(n, m, step)


@mistake(
    SAMPLE,
    killed_by=ROWS,
    says="One table of noise serves every column, moved on by a row each time: a row shares its noise with its neighbours.",
    when=lambda m: m > 1,
)
def noise_rolled_over_the_rows(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    u = torch.rand(n, generator=generator)
    return ancestral(n, m, lambda x, j: quantile(probabilities(conditional, x, j), u.roll(j)))


@mistake(
    SAMPLE,
    killed_by="test_no_row_depends_on_the_logits_of_another",
    says="Where all rows have the same last value you ask for the first row alone: the values before it may differ.",
    when=lambda m: m > 2,
)
def one_row_asked_where_the_last_values_agree(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        agree = j > 0 and bool((x[:, j - 1] == x[0, j - 1]).all())
        pi = probabilities(conditional, x[:1], j).expand(n, -1) if agree else probabilities(conditional, x, j)
        return pick(pi, generator)

    return ancestral(n, m, step)
