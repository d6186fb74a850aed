"""What the kernel is asked for, so that a submission reaches nothing but its own memory."""
