"""All attacks together."""

from tests.attacks import ask, escape, forge, serialise, starve, steal

CORPUS = [*steal.ATTACKS, *forge.ATTACKS, *starve.ATTACKS, *escape.ATTACKS, *serialise.ATTACKS, *ask.ATTACKS]
