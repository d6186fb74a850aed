"""The language of grader and worker: bounded plain data in frames, over a socket."""
