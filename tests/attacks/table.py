"""The table attack × layer of docs/security.md, made from the corpus: python -m tests.attacks.table writes it there."""

from __future__ import annotations

from pathlib import Path

from tests.attacks.arena import SWITCHABLE, Attack
from tests.attacks.corpus import CORPUS

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
BEGIN, END = "<!-- corpus: made by tests/attacks/table.py -->\n", "<!-- end of corpus -->\n"
OTHERS = {"process": "its own process", "wire": "the wire", "comparison": "the comparison", "deadline": "the deadline"}


def table() -> str:
    """Markdown, a section for each group."""
    sections = []
    for group in dict.fromkeys(attack.group for attack in CORPUS):
        attacks = [attack for attack in CORPUS if attack.group == group]
        head = f"### {group} ({len(attacks)})\n\n| attack | {' | '.join(SWITCHABLE)} | or | outcome |\n|---|{':-:|' * len(SWITCHABLE)}---|---|\n"
        sections.append(head + "".join(map(_row, attacks)))
    return "\n".join(sections)


def written() -> str:
    """The page with its table made anew."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    return before + BEGIN + "\n" + table() + "\n" + END + rest.partition(END)[2]


def _row(attack: Attack) -> str:
    layers = ["●" if layer in attack.stopped_by else "" for layer in SWITCHABLE]
    others = ", ".join(OTHERS[stop] for stop in attack.stopped_by if stop in OTHERS)
    name = attack.name + (" †" if attack.reckless and set(attack.stopped_by) & set(SWITCHABLE) else "")
    outcome = "honest answers count" if attack.earns else " or ".join(attack.outcomes)
    return f"| {name} | {' | '.join(layers)} | {others} | {outcome} |\n"


if __name__ == "__main__":
    PAGE.write_text(written())
