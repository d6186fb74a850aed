"""Wrong and right answers to ancestral sampling."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from dgm_ref.catalogue import mistake, variant
from dgm_ref.lecture1.autoregressive.parts import Conditional, ancestral, pick, probabilities, quantile

SAMPLE = "autoregressive.sample"
JOINT = "test_samples_follow_the_joint_law"
IMPOSSIBLE = "test_sampling_from_the_conditionals_of_a_joint_gives_the_joint"
LAW = "test_a_common_value_and_many_rare_ones_keep_their_odds"
AGREED = "test_samples_are_int64_and_so_is_what_the_conditional_gets"
FORM = "test_samples_are_n_sequences_of_m_values"
CERTAIN = "test_a_nearly_certain_value_leaves_room_for_the_other"
DETERMINISTIC = "test_a_deterministic_model_has_one_sequence"


# -- the wrong law of one variable --


@mistake(SAMPLE, killed_by=JOINT, says="You take the most likely value each time. Sampling draws every value with its probability.")
def most_likely_value(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    torch.rand(1, generator=generator)
    return ancestral(n, m, lambda x, j: conditional(x)[:, j].argmax(dim=-1))


@mistake(SAMPLE, killed_by=JOINT, says="The last variable is not drawn but taken as the most likely value.")
def most_likely_last_value(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        pi = probabilities(conditional, x, j)
        return pick(pi, generator) if j < m - 1 else pi.argmax(dim=-1)

    return ancestral(n, m, step)


@mistake(
    SAMPLE, killed_by=CERTAIN, says="A value that is almost certain is taken without a draw. The others have their share, however small."
)
def nearly_certain_is_certain(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        pi = probabilities(conditional, x, j)
        return torch.where(pi.amax(dim=-1) > 0.95, pi.argmax(dim=-1), pick(pi, generator))

    return ancestral(n, m, step)


@mistake(SAMPLE, killed_by=CERTAIN, says="The uniform noise is kept away from 0 and 1 by too much: a rare value never wins.")
def clamped_gumbel_noise(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        logits = conditional(x)[:, j]
        u = torch.rand(logits.shape, generator=generator).clamp(1e-3, 1 - 1e-3)
        return (logits - (-u.log()).log()).argmax(dim=-1)

    return ancestral(n, m, step)


def _at_temperature(conditional: Conditional, n: int, m: int, generator: Generator, temperature: float) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(torch.softmax(conditional(x)[:, j] / temperature, dim=-1), generator))


@mistake(
    SAMPLE,
    killed_by=DETERMINISTIC,
    says="You keep samples in a byte, where 256 is 0 again. They are int64.",
)
def samples_in_bytes(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, j), generator).to(torch.uint8).long())


@mistake(
    SAMPLE, killed_by=LAW, says="The values come up too evenly for these logits, as with a temperature above one. Exact sampling has none."
)
def warmer(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _at_temperature(conditional, n, m, generator, 1.03)


@mistake(
    SAMPLE,
    killed_by=LAW,
    says="Likely values come up too often for these logits, as with a temperature below one. Exact sampling has none.",
)
def cooler(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _at_temperature(conditional, n, m, generator, 0.97)


@mistake(SAMPLE, killed_by=LAW, says="Values of a probability below 0.02 never come up: rare values belong to the law.")
def drops_rare_values(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        pi = probabilities(conditional, x, j)
        return pick(pi.masked_fill((pi < 0.02) & (pi < pi.amax(dim=-1, keepdim=True)), 0.0), generator)

    return ancestral(n, m, step)


@mistake(SAMPLE, killed_by=DETERMINISTIC, says="Values above 99 never come up: K may be larger.")
def at_most_100_values(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(torch.softmax(conditional(x)[:, j, :100].clamp(min=-1e4), dim=-1), generator))


@mistake(
    SAMPLE,
    killed_by="test_no_row_depends_on_the_logits_of_another",
    says="You take one maximum out of the logits of all rows. Where a row's are much smaller every exponential is 0: "
    "each row has a maximum of its own.",
)
def one_maximum_for_all_rows(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        logits = conditional(x)[:, j]
        return pick((logits - logits.max()).exp() + 1e-30, generator)

    return ancestral(n, m, step)


@mistake(SAMPLE, killed_by=JOINT, says="A softmax of probabilities: you normalise twice, and every value becomes almost equally likely.")
def softmax_twice(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(torch.softmax(probabilities(conditional, x, j), dim=-1), generator))


@mistake(SAMPLE, killed_by=JOINT, says="The least likely value never comes up (top-k): rare values belong to the law.")
def drops_the_least_likely_value(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        pi = probabilities(conditional, x, j)
        return pick(pi.masked_fill(pi == pi.amin(dim=-1, keepdim=True), 0.0) if pi.shape[-1] > 1 else pi, generator)

    return ancestral(n, m, step)


@mistake(SAMPLE, killed_by=JOINT, says="Every value is drawn with the same probability: the logits are not used.")
def uniform_values(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(torch.ones_like(conditional(x)[:, j]), generator))


@mistake(
    SAMPLE,
    killed_by=JOINT,
    says="You normalise over the batch, so a row's distribution depends on the other rows. Normalise over the K values.",
)
def softmax_over_the_batch(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(torch.softmax(conditional(x)[:, j], dim=0), generator))


@mistake(SAMPLE, killed_by=JOINT, says="Gumbel noise has the wrong sign. It is -log(-log u), added to the logits before the maximum.")
def gumbel_noise_of_the_wrong_sign(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        logits = conditional(x)[:, j]
        return (logits + (-torch.rand(logits.shape, generator=generator).log()).log()).argmax(dim=-1)

    return ancestral(n, m, step)


@mistake(SAMPLE, killed_by=JOINT, says="Your inverse distribution function is off by one: the first value takes the mass of the second.")
def inverse_cdf_off_by_one(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        pi = probabilities(conditional, x, j)
        return (quantile(pi, torch.rand(n, generator=generator)) - 1).clamp(min=0)

    return ancestral(n, m, step)


@mistake(SAMPLE, killed_by=DETERMINISTIC, says="A small number added to every probability makes impossible values possible.")
def epsilon_in_the_probabilities(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, j) + 2e-3, generator))


@mistake(SAMPLE, killed_by=IMPOSSIBLE, says="You clamp the logits. A logit of -inf means that the value never comes up.")
def clamps_the_logits(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(torch.softmax(conditional(x)[:, j].clamp(min=-5), dim=-1), generator))


@mistake(
    SAMPLE,
    killed_by=DETERMINISTIC,
    says="exp overflows for large logits, and inf / inf is nan. torch.softmax takes the largest one out first.",
)
def exp_without_the_shift(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(conditional(x)[:, j].exp(), generator))


# -- the wrong prefix --


@mistake(
    SAMPLE,
    killed_by=JOINT,
    says="The variables are drawn as if none were before them. Ancestral sampling goes from x_1 on, each given those before it.",
)
def all_at_once(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    pi = torch.softmax(conditional(torch.zeros(n, m, dtype=torch.int64)), dim=-1)
    return pick(pi.flatten(0, 1), generator).view(n, m)


@mistake(
    SAMPLE,
    killed_by=JOINT,
    says="The newest value is not part of the prefix yet when the next one is drawn: write it into x before you ask again.",
)
def forgets_the_newest_value(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        prefix = x.clone()
        prefix[:, max(j - 1, 0) :] = 0
        return pick(probabilities(conditional, prefix, j), generator)

    return ancestral(n, m, step)


@mistake(SAMPLE, killed_by=JOINT, says="Only the newest value is handed on. The conditional of x_j depends on all of the values before it.")
def remembers_only_the_newest_value(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        newest = torch.zeros_like(x)
        if j > 0:
            newest[:, j - 1] = x[:, j - 1]
        return pick(probabilities(conditional, newest, j), generator)

    return ancestral(n, m, step)


@mistake(
    SAMPLE,
    killed_by=JOINT,
    says="You draw x_j from the logits of the variable before it. `logits[:, j]` is already the distribution of `x[:, j]`.",
)
def logits_of_the_variable_before(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, j - 1), generator))


@mistake(SAMPLE, killed_by=JOINT, says="The sequences are right but for their direction: they run backwards.")
def time_reversed(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, j), generator)).flip(1)


@mistake(SAMPLE, killed_by=JOINT, says="Rows are drawn given the values of another row. Each sequence has a prefix of its own.")
def prefix_of_the_row_above(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x.roll(1, 0), j), generator))


@mistake(SAMPLE, killed_by=JOINT, says="All rows are drawn given the first one's values. Each sequence has a prefix of its own.")
def prefix_of_the_first_row(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x[:1].expand(n, m), j), generator))


@mistake(
    SAMPLE,
    killed_by=JOINT,
    says="Each step draws all positions anew, so the values that later ones were conditioned on are gone. Write one column a step.",
)
def draws_all_positions_anew_each_step(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    x = torch.zeros(n, m, dtype=torch.int64)
    for _ in range(m):
        x = pick(torch.softmax(conditional(x), dim=-1).flatten(0, 1), generator).view(n, m)
    return x


@mistake(SAMPLE, killed_by=JOINT, says="The last variable is never drawn: the loop ends one step early.")
def stops_one_early(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        return pick(probabilities(conditional, x, j), generator) if j < m - 1 else x[:, j]

    return ancestral(n, m, step)


@mistake(
    SAMPLE,
    killed_by=AGREED,
    says="You hand over the prefix alone. `conditional` takes all m columns; those not drawn yet may hold any value.",
)
def hands_over_the_prefix_alone(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x[:, : j + 1], j), generator))


@mistake(
    SAMPLE, killed_by=AGREED, says="Columns that are not drawn yet hold -1, which is none of the K values: an embedding cannot look it up."
)
def minus_one_for_what_is_not_drawn(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, j), generator), fill=-1)


# -- the wrong form --


@mistake(
    SAMPLE,
    killed_by=AGREED,
    says="Columns that are not drawn yet hold 1, which is no value where K = 1: an embedding cannot look it up.",
    when=lambda conditional, m: conditional(torch.zeros(1, m).long()).shape[-1] == 1,
)
def starts_from_ones(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, j), generator), fill=1)


@mistake(SAMPLE, killed_by=AGREED, says="Tokens are indices: int64, not floating-point numbers.")
def floating_point_tokens(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, j), generator)).float()


@mistake(SAMPLE, killed_by=AGREED, says="Tokens are int64; yours are int32.")
def int32_tokens(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, j), generator)).int()


@mistake(
    SAMPLE,
    killed_by=AGREED,
    says="`conditional` is handed floating-point tokens, which no embedding can look up: make x int64 from the start.",
)
def floating_point_buffer(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    x = torch.zeros(n, m)
    for j in range(m):
        x[:, j] = pick(probabilities(conditional, x, j), generator).float()
    return x.long()


@mistake(
    SAMPLE,
    killed_by="test_sampling_a_thousand_variables",
    says="A recursion over the variables ends at Python's limit of about 1000. Use a loop.",
)
def samples_by_recursion(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def extend(x: Tensor, j: int) -> Tensor:
        if j == m:
            return x
        x[:, j] = pick(probabilities(conditional, x, j), generator)
        return extend(x, j + 1)

    return extend(torch.zeros(n, m, dtype=torch.int64), 0)


@mistake(SAMPLE, killed_by=FORM, says="The axes are exchanged: rows are the n samples, columns the m variables.")
def variables_first(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, j), generator)).T


@mistake(SAMPLE, killed_by=FORM, says="`squeeze` also removes an axis of length n = 1 or m = 1. Name the axis to drop.")
def squeezes_too_much(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, j), generator)).squeeze()


# -- other right answers --


@mistake(
    SAMPLE,
    killed_by=DETERMINISTIC,
    says="You cut logits off at 50: values with larger ones become equally likely. Only differences of logits matter.",
)
def cuts_large_logits_off(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(conditional(x)[:, j].clamp(max=50).softmax(dim=-1), generator))


@mistake(SAMPLE, killed_by=JOINT, says="You take a sigmoid of each logit. The K probabilities of a variable are the softmax of its logits.")
def sigmoid_for_softmax(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(conditional(x)[:, j].sigmoid(), generator))


@mistake(
    SAMPLE,
    killed_by="test_no_row_depends_on_the_logits_of_another",
    says="You show the model the last eight values and zeros before them. It is called with all values drawn so far.",
)
def only_the_last_eight_values(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def recent(x: Tensor, j: int) -> Tensor:
        return x.masked_fill(torch.arange(m) < j - 8, 0)

    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, recent(x, j), j), generator))


@mistake(
    SAMPLE, killed_by=JOINT, says="You draw x_j from the logits of the last variable. `logits[:, j]` is the distribution of `x[:, j]`."
)
def logits_of_the_last_variable(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, m - 1), generator))


@mistake(
    SAMPLE,
    killed_by=JOINT,
    says="You draw x_j from the logits of the next variable. `logits[:, j]` is already the distribution of `x[:, j]`.",
)
def logits_of_the_next_variable(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, min(j + 1, m - 1)), generator))


@mistake(SAMPLE, killed_by=JOINT, says="The first variable is never drawn, and stays 0. Its distribution is `logits[:, 0]`.")
def starts_one_late(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(probabilities(conditional, x, j), generator) if j else x[:, j])


@mistake(SAMPLE, killed_by=LAW, says="You round the logits to bfloat16. Of logits near 5000 nothing is left but multiples of 32.")
def logits_in_bfloat16(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return ancestral(n, m, lambda x, j: pick(conditional(x)[:, j].bfloat16().float().softmax(dim=-1), generator))


@variant(SAMPLE)
def gumbel_max(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        logits = conditional(x)[:, j]
        return (logits - (-torch.rand(logits.shape, generator=generator).log()).log()).argmax(dim=-1)

    return ancestral(n, m, step)


@variant(SAMPLE)
def inverse_cdf(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        return quantile(probabilities(conditional, x, j), torch.rand(n, generator=generator))

    return ancestral(n, m, step)


@variant(SAMPLE)
def exponential_race_in_float64(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        pi = probabilities(conditional, x, j).double()
        return (pi / torch.empty_like(pi).exponential_(generator=generator)).argmax(dim=-1)

    return ancestral(n, m, step)


@variant(SAMPLE)
def all_noise_drawn_first(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    u = torch.rand(m, n, generator=generator, dtype=torch.float64)
    return ancestral(n, m, lambda x, j: quantile(probabilities(conditional, x, j).double(), u[j]))


@variant(SAMPLE)
@torch.inference_mode()
def exponential_race_in_inference_mode(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    x = torch.zeros(n, m, dtype=torch.long)
    for j in range(m):
        pi = conditional(x)[:, j].softmax(-1)
        x[:, j] = (pi / torch.empty_like(pi).exponential_(generator=generator)).argmax(-1)
    return x


@variant(SAMPLE)
def by_searchsorted(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    x = torch.randint(1, (n, m), generator=generator)
    for j in range(m):
        cdf = torch.softmax(conditional(x)[:, j].double(), dim=-1).cumsum(dim=-1)
        u = torch.rand(n, 1, generator=generator, dtype=torch.float64) * cdf[:, -1:]
        x[:, j] = torch.searchsorted(cdf, u, right=True).squeeze(1).clamp(max=cdf.shape[-1] - 1)
    return x


@variant(SAMPLE)
def columns_stacked_with_zeros(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    columns: list[Tensor] = []
    for j in range(m):
        x = torch.stack(columns + [torch.zeros(n, dtype=torch.long)] * (m - j), dim=1)
        columns.append(torch.multinomial(conditional(x)[:, j].softmax(-1), 1, True, generator=generator)[:, 0])
    return torch.stack(columns, dim=1)


@variant(SAMPLE)
def row_by_row(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    rows = []
    for _ in range(n):
        x = torch.zeros(1, m, dtype=torch.long)
        for j in range(m):
            x[0, j] = torch.multinomial(conditional(x)[0, j].softmax(0), 1, generator=generator)
        rows.append(x)
    return torch.cat(rows)
