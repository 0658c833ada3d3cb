"""The wizard's pages as text that can be read, and what their text looks like as runs of style."""
