"""Specs and sources that are refused: each with its error, and with nothing written."""
