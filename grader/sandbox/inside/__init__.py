"""What runs in the worker: loads a submission and answers the calls."""
