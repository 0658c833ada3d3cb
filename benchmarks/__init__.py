"""Timings beside the tools that people use today; see each module's own text."""
