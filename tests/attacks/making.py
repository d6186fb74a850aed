"""How the corpus writes its attacks: a deed hides behind the honest answer, a fraud comes without one."""

from __future__ import annotations

from tests.attacks.arena import DEED, EXERCISE, HONEST, Attack


class Group(list[Attack]):
    """The attacks of one kind, on one exercise."""

    def __init__(self, name: str, exercise: str = EXERCISE) -> None:
        super().__init__()
        self.name, self.exercise = name, exercise

    def deed(self, name: str, body: str, *stopped_by: str, landlock_abi: int = 1, reckless: bool = False) -> None:
        """`body` defines `attack()`, which prints what it stole and returns something true when it got through."""
        source = HONEST + body + DEED
        self.append(
            Attack(name, self.name, source, stopped_by, True, ("passed",), landlock_abi=landlock_abi, reckless=reckless)
        )

    def fraud(
        self, name: str, source: str, *stopped_by: str, outcomes: tuple[str, ...] = ("failed",), words: str = "", reckless: bool = False
    ) -> None:
        """`source` is the whole submission; its own `histogram_log_prob` is wrong, or never returns."""
        self.append(Attack(name, self.name, source, stopped_by, False, outcomes, words, reckless=reckless, exercise=self.exercise))
