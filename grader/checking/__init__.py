"""What an author of checks imports: the student's functions, comparisons, tolerances, statistics."""
