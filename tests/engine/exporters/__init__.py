"""Tests of what writes specs for other tools."""
