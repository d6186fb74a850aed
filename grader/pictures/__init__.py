"""What a student's functions do, to look at: `dgm show NAME`, and `show("NAME")` in a notebook.

Beside it stands what they should do only where public mathematics says that: a true mean, a sample, the density of a
given family. Pictures call a student's own functions and hold none of the answers.
"""
