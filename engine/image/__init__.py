"""Containers, tables and windows: the ground floor of every reader."""
