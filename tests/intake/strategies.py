"""Hand-ins of any kind for a fuzz run: archives, notebooks, sources and names, right ones among broken ones."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from tests.intake.making import STUBS, flows, notebook, zipped

PIECES = [
    "x", " ", "\n", "\n\n", "%", "!", "?", "'", '"', "'''", '"""', "(", ")", "[", "]", "{", "}", "#", "\\", "=", ":", "é", "\t", "\r\n", "\f", "\0",
    "\u202e", "\u2028", "\ud800", "def planar(x):\n    ", "return 1\n", "raise NotImplementedError\n", "class Encoder:\n  def forward(self): pass\n",
    "import own\n", "from own import *\n", "from . import flows\n", "if x:\n    ", "else:\n", "%run own.py\n", "%%writefile own.py\n", "%time ", "!ls \\\n",
    ">>> ", "In [1]: ", "lambda: 0", "async ", "await x\n", "yield\n", "@d\n", "match x:\n  case 1: pass\n", "type X = int\n", "f'{x!r}'", "0b2", "1e999",
]  # fmt: skip
SOURCES = st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=60) | st.sampled_from([STUBS, flows()])
KEYS = st.sampled_from(["cells", "worksheets", "cell_type", "source", "input", "metadata", "language_info", "version", "x"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["code", "markdown", "3.99.1", ""]) | SOURCES
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12)
NOTEBOOKS = (
    st.lists(SOURCES, max_size=5).map(lambda cells: notebook(*cells))
    | TREES.map(lambda tree: json.dumps(tree).encode())
    | st.lists(SOURCES, max_size=3).map(lambda cells: notebook(*cells, python="3.99").decode().encode("utf-16"))
)
MODULES = SOURCES.map(lambda text: text.encode("utf-8", "surrogatepass")) | SOURCES.map(lambda text: text.encode("latin-1", "replace"))
PARTS = st.sampled_from(["flows", "vaes", "own", "a", "..", ".", "", "~", "CON", "Copy of flows", "flows (1)", "x" * 300, "Ünï", "u\u0308", "\u202e",
                         "\u009b", "\udcf6", "anna_12_345_flows", "B_12_assignsubmission_file_", "submission_3", "lecture9", "__MACOSX", "C:", "é\n"])  # fmt: skip
ENDINGS = st.sampled_from([".py", ".ipynb", ".zip", ".ipynb.txt", ".json", ".rar", "", ".PY", ".txt", ".py "])
NAMES = st.builds(lambda parts, ending: "/".join(parts) + ending, st.lists(PARTS, min_size=1, max_size=3), ENDINGS) | st.text(max_size=20)


@st.composite
def contents(draw: st.DrawFn, depth: int = 0) -> bytes:
    """What a file may hold; archives hold more of it."""
    kinds = [MODULES, NOTEBOOKS, st.binary(max_size=200)] + ([archives(depth + 1)] if depth < 3 else [])
    return draw(st.one_of(kinds))


@st.composite
def archives(draw: st.DrawFn, depth: int = 0) -> bytes:
    """A zip, perhaps with some bytes changed, cut off, or doubled."""
    entries = draw(st.dictionaries(NAMES.map(lambda name: name.encode("utf-8", "replace").decode().replace("\0", "_") or "x"), contents(depth), max_size=4))
    content = bytearray(zipped(dict(entries)))
    for place, value in draw(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=6)):
        content[place % len(content)] = value
    cut = draw(st.none() | st.integers(0, len(content)))
    return bytes(content[:cut]) * draw(st.sampled_from([1, 1, 1, 2]))


HAND_INS = st.dictionaries(NAMES, contents(), max_size=5)
