"""What the models of the lecture do, to look at: `dgm show TOPIC`, and the picture cells of the notebooks.

Pictures call a student's own functions and hold none of the answers.
"""
