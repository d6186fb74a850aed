"""The exam: collects the checks once, draws their inputs once, and puts them to one submission after the other."""
