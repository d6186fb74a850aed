"""What knows the right answers: the reference, known submissions, recognising a mistake. Never shipped."""
