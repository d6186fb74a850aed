"""From bytes to source text, whatever editor they come from."""

from __future__ import annotations

import codecs
import io
import re
import tokenize

from grader.submission.files import Unreadable

DECLARABLE = re.compile(r"utf-8|ascii|iso-?8859-\d+|cp125\d|windows-125\d|koi8-[ru]", re.IGNORECASE)


def decode(name: str, content: bytes) -> tuple[str, str | None]:
    """The text of a module and, where its encoding had to be guessed, a sentence about that.

    Raises: ``Unreadable`` if it is no text at all.
    """
    encoding = _encoding(content)
    guess = "UTF-16" if encoding == "utf-16" else None
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        guess = "Windows-1252"  # what an old Windows editor writes; a superset of the printable Latin-1
        text = content.decode("cp1252", errors="replace")
    if "\0" in text:
        raise Unreadable(f"{name} is no text: it holds zero bytes")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text, f"{name} is not saved as UTF-8; it was read as {guess}" if guess else None


def _encoding(content: bytes) -> str:
    """What the byte order mark or Python's ``# -*- coding -*-`` line says, as far as it is an encoding of text."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if content.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    try:
        declared = tokenize.detect_encoding(io.BytesIO(content[:1000]).readline)[0]
    except SyntaxError:
        return "utf-8"
    return declared if DECLARABLE.fullmatch(declared) else "utf-8"
