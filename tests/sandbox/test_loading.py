"""A submission is loaded statement by statement: nothing around the functions costs anybody the functions."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import textwrap
from multiprocessing.connection import Connection

from grader.sandbox.inside.loading import SubmissionFinder

FRESH = multiprocessing.get_context("forkserver")  # torch is loaded there, once
FRESH.set_forkserver_preload([__name__])


def loaded(*cells: str, then: str, definitions_only: bool = False, **others: str) -> str:
    """What `then` prints in a fresh process, after topic `one` was loaded from cells (and other topics from `others`)."""
    sources = {"one": [textwrap.dedent(cell) for cell in cells], **{name: [source] for name, source in others.items()}}
    here, there = FRESH.Pipe(duplex=False)
    process = FRESH.Process(target=_load, args=(sources, definitions_only, then, there))
    process.start()
    there.close()
    said = here.recv() if here.poll(60) else "nothing in a minute"
    process.kill()
    return str(said)


def _load(sources: dict[str, list[str]], definitions_only: bool, then: str, answer: Connection) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        topics = SubmissionFinder("assignments.demo", sources, 0.3, definitions_only).load_all()
    answer.send(str(eval(f"({then})", {"one": topics["one"].module, "problems": topics["one"].problems})))


def test_a_statement_that_raises_is_noted_and_the_rest_goes_on():
    cell = """
        import no_such_library
        1 / 0
        input()
        raise SystemExit(3)
        def f():
            return 7
    """
    said = loaded(cell, then="one.f(), len(problems), problems[1]")
    assert said.startswith("(7, 4, ")
    assert "line 3: ZeroDivisionError" in said


def test_a_cell_on_which_the_parser_gives_up_is_told_so():
    for cell in (f"x = {'-' * 50_000}1", f"x = {' + '.join('1' * 20_000)}"):
        assert loaded(cell, "def f():\n    return 7", then="one.f(), *problems") == "(7, 'one, cell 1: it is nested too deeply')"


def test_a_statement_that_never_ends_is_interrupted():
    assert (
        loaded("while True:\n    pass\ndef f():\n    return 7", then="one.f(), problems[0]")
        == "(7, 'one.py, line 1: still running after 0.3 s (this statement was skipped)')"
    )


def test_a_cell_with_a_syntax_error_costs_that_cell_alone():
    said = loaded("def f(:", "def g():\n    return 8", then="one.g(), hasattr(one, 'f'), problems[0]")
    assert said.startswith("(8, False, 'one, cell 1, line 1: SyntaxError")


def test_topics_import_each_other_by_every_name_and_are_one_module():
    cell = "import two\nfrom assignments.demo.two import g\nfrom .two import g as again"
    assert loaded(cell, then="one.g is one.two.g is one.again, problems", two="def g(): pass") == "(True, [])"


def test_future_imports_hold_for_the_statements_after_them():
    assert (
        loaded(
            "from __future__ import annotations\ndef f(x: Unknown) -> None: ...",
            then="one.f.__annotations__['x'], problems",
        )
        == "('Unknown', [])"
    )


def test_the_second_attempt_keeps_definitions_and_constants_only():
    cell = "import math\nEPS = 1e-3\ntable = list(range(5))\nprint('hello')\ndef f():\n    return EPS"
    assert loaded(cell, then="one.f(), one.math.pi > 3, hasattr(one, 'table')", definitions_only=True) == "(0.001, True, False)"


def test_what_a_library_that_is_not_here_would_have_given_costs_itself_alone():
    cell = """
        import nothing_like_this, math as m
        from math import nothing_like_this, tau
        from nothing_like_this import typed, Float
        @typed(Float)
        def f(x: Float["n"]) -> Float:
            return m.pi + tau
        @staticmethod
        def g(x, n=Float): ...
        def h(x: Float): return typed
    """
    said = loaded(cell, then="one.f(0) > 9, hasattr(one, 'g'), hasattr(one, 'h'), problems[-2:]")
    skipped = "one.py, line 9: NameError: name 'Float' is not defined (this statement was skipped)"
    assert said == f"""(True, False, True, ['one.py, line 6: defined without @typed(Float), which is not known here', "{skipped}"])"""


def test_a_breakpoint_where_nobody_can_type_leads_to_the_debugger():
    assert "dgm debug stops there" in loaded("breakpoint()\npass", then="problems[-1]")
