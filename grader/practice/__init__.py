"""What a student runs on their own machine: checks, hints, progress, watching, packing. Nothing here needs POSIX."""
