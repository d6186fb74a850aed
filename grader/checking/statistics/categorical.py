"""Goodness of fit of a sampler to a pmf: sequential, with named alternatives and bets on the order of the draws."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from grader.checking.mismatch import Mismatch
from grader.checking.statistics.betting import FAR_TO_NEAR, OrderBets, batch_sizes, dirichlet_log_wealth, log_mean_exp
from grader.checking.statistics.design import FIRST_CALL_DRAWS, as_pmf, draws_for_pmf, ratios
from grader.checking.statistics.inequalities import tv_limit
from grader.checking.statistics.verdict import Verdict, as_draws, odds, report

ORDER_SENTENCES = {
    "copies": "the draws are not independent: a draw repeats the draw before it too often",
    "repeats": "two calls are not independent: a call repeats the draws of the one before, as if its noise restarted",
    "crowded": "the draws of one call are not independent: they agree too often, as if they shared their noise",
    "too even": "the draws of one call are not independent: every outcome comes up too evenly for chance",
}

MIN_EVIDENCE_RATIO = 1e4  # a mistake is called by another one's name with probability 1e-4 at most (Ville)
FOR_A_NAME = 4096  # further draws of what has failed, where it has no name yet
CONFIRMATIONS = 3  # calls that must bear a name out: what a call's draws share may have looked like another law by chance


def assert_follows_pmf(
    draw: Callable[[int], Tensor],
    pmf: Tensor,
    *,
    effect: float = 0.1,
    named: Mapping[str, Tensor] | None = None,
    alpha: float = 1e-12,
    beta: float = 1e-6,
    first: int = FIRST_CALL_DRAWS,
    largest: int = 2048,
    budget: int = 20_000,
    outcomes: Sequence[str] = (),
) -> Verdict:
    r"""``draw(n)`` gives n i.i.d. outcomes with law pmf; it is asked for ``first`` of them, then for more, up to ``largest``.
    ``outcomes`` are their names in the sentence.

    Shapes: ``draw(n)``: ``(n,)`` int64 indices into the flattened pmf, in the order drawn; ``pmf`` and each of
    ``named``: ``(K,)``, or one axis for each variable, so that the sentence can name the sequence.

    A right sampler fails with probability at most alpha. A sampler with $TV \ge$ effect, or whose law is one of
    ``named`` (name of a registered mistake → the pmf it draws from), passes with probability at most beta.

    Raises: ``Mismatch`` if the draws do not follow the pmf; ``ValueError`` if the instance cannot show an effect
    within the budget.
    """
    test = SequentialPmf(pmf, effect=effect, named=named or {}, alpha=alpha, beta=beta, budget=budget, outcomes=outcomes)
    for n in batch_sizes(first, max(test.last, 2 * first), largest):
        verdict = test.update(as_draws(draw(n), (n,), floating=False))
        if verdict is not None and (not verdict.passed or test.calls > 1):
            break
    assert verdict is not None
    if not verdict.passed and named and verdict.mistake is None:  # a law far off fails before it is known which one it is
        n = min(FOR_A_NAME, largest)
        more = test.update(as_draws(draw(n), (n,), floating=False))
        verdict = dataclasses.replace(verdict, mistake=more.mistake if more else None)
    for _ in range(CONFIRMATIONS):
        if verdict.mistake is None:
            break
        again = test.update(as_draws(draw(first), (first,), floating=False))
        if again is None or again.mistake != verdict.mistake:
            verdict = dataclasses.replace(verdict, mistake=None)
    report(verdict)
    return verdict


def outcome_index(x: Tensor, K: int) -> Tensor:
    r"""Where each sequence stands in the enumerated joint, $\sum_j x_j K^{m-j}$: the last variable varies fastest.

    Shapes: ``x``: ``(n, m)`` int64; result ``(n,)``.
    Raises: ``Mismatch`` if x is not a batch of sequences with values in ``0..K-1``.
    """
    if not isinstance(x, Tensor) or x.ndim != 2:
        raise Mismatch("rank", "samples should be a tensor of shape (n, m)", got=x)
    x = as_draws(x, tuple(x.shape), floating=False)
    if x.numel() and (x.min() < 0 or x.max() >= K):
        outside = int(x[(x < 0) | (x >= K)][0])
        raise Mismatch("value", f"sampled the value {outside}, outside 0..{K - 1}", got=outside)
    return x @ K ** torch.arange(x.shape[1] - 1, -1, -1)


class SequentialPmf:
    r"""The test behind `assert_follows_pmf`: feed the draws of each call to `update`, in their order.

    Fails when the average wealth of the bettors reaches $2/\alpha$ (Ville). Passes when every law with $TV \ge$
    effect and every named one is refuted at $2/\beta$ (universal inference with Pinsker on the worst event; Ville).
    Decides after `last` draws by the fixed-size tests that hold the other half of both rates.
    """

    def __init__(
        self,
        pmf: Tensor,
        *,
        effect: float,
        named: Mapping[str, Tensor],
        alpha: float,
        beta: float,
        budget: int,
        outcomes: Sequence[str] = (),
    ) -> None:
        self.last = draws_for_pmf(pmf, effect=effect, named=named, alpha=alpha, beta=beta, budget=budget)
        self.shape, self.outcomes = tuple(torch.as_tensor(pmf).shape), outcomes
        self.p = as_pmf(pmf, "pmf")
        self.effect, self.alpha, self.beta = effect, alpha, beta
        self.share = alpha / 2 / (1 + len(named))
        self.ratios = ratios(self.p, named, self.share, beta / 2)
        self.order = OrderBets(self.p)
        near, flat = self.order.near, torch.full_like(self.p, 1 / len(self.p))
        self.centres = [0.5 * near + 0.5 * flat, 0.999 * near + 0.001 * flat]
        self.log_plus = self.order.plus.log()
        self.log_named = {name: (0.999 * as_pmf(q, name) + 0.001 * near).log() for name, q in named.items()}
        self.counts = torch.zeros_like(self.p)
        self.calls = 0

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    def update(self, x: Tensor) -> Verdict | None:
        self.calls += 1
        if x.min() < 0 or x.max() >= len(self.p):
            outside = int(x[(x < 0) | (x >= len(self.p))][0])
            return Verdict(False, self.n, f"drew the outcome {outside}, outside 0..{len(self.p) - 1}", got=outside)
        self.counts += torch.bincount(x, minlength=len(self.p))
        self.order.update(x)
        log_wealth = self.log_wealth()
        total = log_mean_exp(torch.tensor(list(log_wealth.values()))).item()
        if total >= math.log(2 / self.alpha):
            return self._failure(log_wealth, total - math.log(2))
        if self.refutes_every_alternative():
            return Verdict(True, self.n)
        return self._last_word(log_wealth) if self.n >= self.last else None

    def log_wealth(self) -> dict[str, float]:
        """The log-wealth of every bettor, each started with 1."""
        wealth: dict[str, float] = {}
        for i, centre in enumerate(self.centres):
            learnt = dirichlet_log_wealth(self.counts[None], centre, self.log_plus)
            wealth |= {f"learns {i} {c:g}": w for c, w in zip(FAR_TO_NEAR.tolist(), learnt.tolist(), strict=True)}
        base = (self.counts @ self.log_plus).item()
        wealth |= {f"named {name}": (self.counts @ log_q).item() - base for name, log_q in self.log_named.items()}
        return wealth | self.order.log_wealth

    def refutes_every_alternative(self) -> bool:
        frequency = self.counts / self.n
        log_near = (self.counts @ self.order.near.log()).item()
        distance = 0.5 * (frequency - self.p).abs().sum().item()
        regret = torch.xlogy(self.counts, frequency).sum().item() - log_near  # n KL(p_hat || near)
        if 2 * self.n * max(self.effect - distance, 0.0) ** 2 - regret < math.log(2 / self.beta):
            return False
        excess = self.n * self.order.plus.sum().log().item()  # p+ sums to more than one: no law may gain by that
        return all((self.counts @ -q.log_ratio).item() - excess >= math.log(2 / self.beta) for q in self.ratios.values())

    def _last_word(self, log_wealth: dict[str, float]) -> Verdict:
        distance = 0.5 * (self.counts / self.n - self.p).abs().sum().item()
        far = distance > tv_limit(self.p, self.n, self.share)
        if far or any(q.rejects(self.counts) for q in self.ratios.values()):
            return self._failure(log_wealth, math.log(1 / self.alpha))
        return Verdict(True, self.n)

    def _failure(self, log_wealth: dict[str, float], log_evidence: float) -> Verdict:
        """A wrong law is told before a wrong order: it is often the cause."""
        best = max(log_wealth, key=log_wealth.__getitem__)
        on_law = {name: w for name, w in log_wealth.items() if name.startswith(("learns", "named"))}
        order = next((sentence for kind, sentence in ORDER_SENTENCES.items() if best.startswith(kind)), None)
        if order is not None:
            if max(on_law.values()) < math.log(2 / self.alpha):
                return Verdict(False, self.n, f"{order} ({self.n} draws; {odds(log_evidence)})")
            log_evidence = torch.tensor(list(on_law.values())).logsumexp(0).item() - math.log(2 * len(log_wealth))  # of the law alone
        k = int(((self.counts - self.n * self.p).abs() / self.order.near.sqrt()).argmax())
        got, want = self.counts[k].item() / self.n, self.p[k].item()
        sentence = f"{self._outcome(k)} is {100 * got:.3g} % of {self.n} draws ({odds(log_evidence)})"
        return Verdict(False, self.n, sentence, f"{100 * want:.3g} %", got=got, want=want, mistake=self._mistake(on_law))

    def _mistake(self, on_law: dict[str, float]) -> str | None:
        """The named law that explains the draws better than any law learnt from them, and far better than any other named one."""
        best = max(on_law, key=on_law.__getitem__)
        others = [w for name, w in on_law.items() if name.startswith("named") and name != best]
        clear = on_law[best] - max(others, default=-math.inf) > math.log(MIN_EVIDENCE_RATIO)
        return best.removeprefix("named ") if best.startswith("named") and clear else None

    def _outcome(self, k: int) -> str:
        if self.outcomes:
            return self.outcomes[k]
        if len(self.shape) < 2:
            return f"outcome {k}"
        return "outcome " + str([int(i) for i in torch.unravel_index(torch.tensor(k), self.shape)])
