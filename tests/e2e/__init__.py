"""Whole builds, from a spec to a disk, looked at with tools that are not ours."""
