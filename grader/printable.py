"""Text from strangers, fit to be shown: what would move a cursor, colour a terminal or turn the reading direction is gone."""


def printable(text: str) -> str:
    """`text` with every character that is not printed, line breaks and tabs apart, replaced by one that says so."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in text)
