"""Every fault at every step, and what must be true afterwards."""
