"""Diskwright on machines that are not ours: bare Debians, each with nothing but a clone in it."""
