r'''Checks of random functions with both error rates declared before a sample is drawn: the manual for check authors.

    from grader.checking.statistics import assert_follows_pmf, outcome_index

    @sampling
    @weight(2)
    def test_sample_follows_the_joint_law(student, ref, seed):
        """Samples follow the joint law of all variables, not just each marginal."""
        K, m = 3, 3
        conditional = tabular(...)                          # a public family; skewed: logits of scale 2
        joint = ref.joint_pmf(conditional, m, K)            # (K,) * m, enumerated in float64
        g = student.generator(seed)
        assert_follows_pmf(
            lambda n: outcome_index(student.sample(conditional, n, m, g), K), joint, effect=0.1,
            named={"ignores_temperature": ...},             # registered mistake -> the joint that it samples
        )

What you declare
    *alpha* ($10^{-12}$): a right answer fails with at most this probability. *beta* ($10^{-6}$): an answer wrong by
    ``effect`` or more, or is one of the ``named`` wrong laws, passes with at most this probability. Both are
    finite-sample theorems (Ville, Hoeffding, McDiarmid, Massart, Chernoff) and hold although the test looks after
    every call. Nothing is retried.

Which function
    ``assert_follows_pmf``  finite outcomes: samplers of pmfs, and of sequences by their enumerated joint
                            ($K^m \le 256$). ``effect`` is a total variation.
    ``assert_uniform``      continuous samplers: hand in PIT values $F(x_t \mid \mathbf x_{1:t-1})$ by the reference;
                            ``effect`` is a distance of distribution functions.
    ``assert_no_stretch_comes_twice``, ``assert_repeats_are_those_of_chance``
                            copies that no pair of neighbours shows: tiles, halves, a bootstrap, a tenth drawn again.

    ``assert_standard_normal``, ``assert_batch_not_standardised``  noise that should be normal, closely; a batch of it.
    ``assert_no_row_repeats``, ``assert_rows_agree_by_chance``     the rows of one large call: no copies, no mirror images.

How to choose an instance (it matters more than the test)
    * Test the *joint*: a sampler that conditions on the row above has nearly every marginal right.
    * Skewed laws tell more: a temperature of 1.1 costs 78 000 draws on a nearly flat binary pmf, 1800 on a joint of
      256 outcomes with logits of scale 2.
    * Few outcomes certify fast. A right sampler with ``effect=0.1`` passes after about 2200 draws (8 ms) for K = 16 and
      7000 (14 ms) for K = 81; with 0.2 after a quarter. Prefer instances that are done in 5000 draws and 60 ms.
    * Name the mistakes whose law you can enumerate: a named law is caught though it be closer than ``effect``, with
      several times fewer draws than by its distance, and the student reads the mistake's name.
    * Draws come in calls of 64, 64, 64, 96, 144, ... Let ``draw(n)`` ask the student for n rows in one call, with one
      generator that goes on: only then does noise show that a batch shares, or that every call restarts.
    * Order is bet on: copies of the row or the call before, agreement within a call, draws too even for chance.
      Only test what the contract calls i.i.d.; an estimator may use stratified or antithetic draws.
    * An effect or a mistake that the instance cannot show in ``budget`` draws is refused with a ``ValueError`` before
      the first draw. ``draws_for_pmf`` and ``draws_for_uniform`` tell how many it takes.

Rates below $2^{-32}$
    A CPU ``torch.Generator`` keeps 32 bits of its seed (``manual_seed(1)`` and ``manual_seed(1 + 2**32)`` give one
    stream). For one fixed instance a rate is therefore a multiple of $2.3 \cdot 10^{-10}$; alpha $= 10^{-12}$ says that
    no seed at all fails, with probability 0.996. A check that draws a fresh instance for each seed needs no more.

``assert_streams_differ``: samples hang on more than one small number from the generator.

Not here: that ``sample`` uses its generator (same state, same draws; the state advances; the global state does not) is
exact, not statistical: ``torch.equal``. Two seeds agree on $n$ draws by chance with probability $(\sum_k p_k^2)^n$.
'''

from grader.checking.statistics.categorical import assert_follows_pmf, outcome_index
from grader.checking.statistics.design import draws_for_pmf, draws_for_uniform
from grader.checking.statistics.normal import assert_batch_not_standardised, assert_standard_normal
from grader.checking.statistics.repeats import assert_no_stretch_comes_twice, assert_repeats_are_those_of_chance
from grader.checking.statistics.rows import assert_no_row_repeats, assert_rows_agree_by_chance
from grader.checking.statistics.streams import assert_streams_differ
from grader.checking.statistics.uniform import assert_uniform

__all__ = [
    "assert_batch_not_standardised",
    "assert_follows_pmf",
    "assert_no_row_repeats",
    "assert_no_stretch_comes_twice",
    "assert_repeats_are_those_of_chance",
    "assert_rows_agree_by_chance",
    "assert_standard_normal",
    "assert_streams_differ",
    "assert_uniform",
    "draws_for_pmf",
    "draws_for_uniform",
    "outcome_index",
]
