"""Proof: that a build repeats itself, what went into it, and that its outputs are still those."""
