"""What students hand in, as sources that a worker can load. Nothing of it is ever executed or unpacked here.

``find`` names the submissions in a folder, a bulk download or a single file; ``read`` turns one of them into a
``Submission``, ``read_apart`` in a process of its own. Whatever is wrong becomes a sentence among its ``problems``: none
of them fails because of what a student handed in.
"""

from grader.submission.apart import read_apart
from grader.submission.find import Found, find, lone
from grader.submission.layout import HandedIn, Layout
from grader.submission.read import Submission, read

__all__ = ["Found", "HandedIn", "Layout", "Submission", "find", "lone", "read", "read_apart"]
