"""Modules in any encoding."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.submission.files import Unreadable
from grader.submission.text import decode

CODE = 'name = "Müller"\n'


@pytest.mark.parametrize(
    ("content", "guess"),
    [
        (CODE.encode("utf-8"), None),
        (codecs.BOM_UTF8 + CODE.encode("utf-8"), None),
        (("# -*- coding: latin-1 -*-\n" + CODE).encode("latin-1"), None),
        (CODE.encode("latin-1"), "Windows-1252"),
        (("# -*- coding: punycode -*-\n" + CODE).encode("utf-8"), None),
        (("# -*- coding: nonsense -*-\n" + CODE).encode("utf-8"), None),
        (CODE.encode("utf-16"), "UTF-16"),
        (codecs.BOM_UTF16_BE + CODE.encode("utf-16-be"), "UTF-16"),
        (CODE.replace("\n", "\r\n").encode(), None),
        (CODE.replace("\n", "\r").encode(), None),
    ],
)
def test_the_text_is_found_and_a_guess_is_admitted(content, guess):
    text, complaint = decode("x.py", content)
    assert text.endswith(CODE)
    assert complaint == (guess and f"x.py is not saved as UTF-8; it was read as {guess}")


@pytest.mark.parametrize("content", [b"\x00\x01\x02", b"\x7fELF\x00\x00", CODE.encode("utf-16-le")])
def test_what_is_no_text_is_unreadable(content):
    with pytest.raises(Unreadable, match="x.py is no text"):
        decode("x.py", content)


@given(st.binary(max_size=100) | st.text().map(lambda text: ("# coding: " + text).encode("utf-8")))
def test_any_content_is_text_or_unreadable(content):
    try:
        text, _ = decode("x.py", content)
    except Unreadable:
        return
    assert "\r" not in text
    text.encode("utf-8")
