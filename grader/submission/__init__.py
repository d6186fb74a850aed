"""What students hand in, as sources that a worker can load. Nothing of it is ever executed or unpacked here.

``find`` names the submissions in a folder, a bulk download or a single file; ``read`` turns one of them into a
``Submission``. Whatever is wrong becomes a sentence among its ``problems``: neither function fails because of what a
student handed in.
"""

from grader.submission.find import HandedIn, find
from grader.submission.read import Submission, read

__all__ = ["HandedIn", "Submission", "find", "read"]
