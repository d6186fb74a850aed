"""Grading: many submissions in, one record each out, in parallel, safe against crashes, resumable."""
