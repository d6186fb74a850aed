"""Where a student's code runs: a worker process that is given plain data and gives plain data back.

Knows nothing of checks, points or lectures. Trusted side: `workers` (start, ask, kill). Inside the worker: `host`.
Between them: `wire`.
"""
