"""A student's markdown on a feedback page: read, and nothing else."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

pytest.importorskip("nbgrader")
from nbconvert.exporters import HTMLExporter
from nbformat.v4 import new_markdown_cell, new_notebook, new_raw_cell

from grader.nbgrader.submitted import inert

PNG = {"image.png": {"image/png": "iVBORw0KGgo="}, "x.svg": {"image/svg+xml": "<svg onload=alert(1)>"}, "bad": 3}
DANGERS = [
    "[a](javascript:alert(1))", "[a](JaVaScRiPt:alert(1))", "[a]( javascript:alert(1))", "[a](<javascript:alert(1)>)",
    "[a](&#106;avascript:alert(1))", "[a](\njavascript:alert(1))", "[a](data:text/html;base64,PHNjcmlwdD4=)", "[a](vbscript:x)",
    "[a][r]\n\n[r]: javascript:alert(1)", "> [r]: javascript:alert(1)\n\n[r]", "<javascript:alert(1)>", "<a href=javascript:alert(1)>x</a>",
    "![](https://evil.example/pixel.png)", "![a [b](https://x)](https://evil.example/pixel.png)", "![a][r]\n\n[r]: https://evil.example/p.png",
    "![](//evil.example/p.png)", "<img src=https://evil.example/p.png>", "[![](attachment:image.png)](javascript:alert(1))",
    "![](attachment:nope)", "![x](attachment:nope 'title')", "![](attachment:x.svg)", "![](attachment:bad)",
    "![a][r]\n\n[r]: attachment:nope",
    r"$\href{javascript:alert(1)}{x}$", "![](data:image/svg+xml;base64,PHN2Zz4=)", "[a](file:///etc/passwd)", "[x](\\\\evil\\share)",
]  # fmt: skip


class Attributes(HTMLParser):
    """Every attribute of every element of a page, as a browser finds them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(name, value or "") for name, value in attrs]

    @classmethod
    def of(cls, body: str) -> list[tuple[str, str]]:
        parser = cls()
        parser.feed(body)
        return parser.found


def page(source: str, make=new_markdown_cell) -> str:
    cell = make(source)
    if make is new_markdown_cell:
        cell.attachments = dict(PNG)
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(new_notebook(cells=[inert(cell)]))
    return body


@pytest.mark.parametrize("source", DANGERS)
def test_nothing_in_it_is_run_opened_or_fetched(source: str) -> None:
    body = page(source)
    for name, target in Attributes.of(body):
        assert not name.startswith("on")
        assert name != "src" or target.startswith("data:image/png"), target
        assert name != "href" or target.startswith(("https://", "#")), target
    assert "\\href" not in body
    assert "<script" not in page(source, new_raw_cell)


def test_what_is_harmless_stays() -> None:
    body = page("**bold** ![mine](attachment:image.png) $f[x](y) \\in [0, 1]$ and a[i](x)")
    assert "data:image/png;base64,iVBORw0KGgo=" in body
    assert "<strong>bold</strong>" in body
