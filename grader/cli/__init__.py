"""The command line `dgm`: thin; every command calls one function of the kit and renders what comes back."""

from grader.cli.app import app

__all__ = ["app"]
