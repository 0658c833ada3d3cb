"""Builds by an ordinary user, who can mount nothing."""
