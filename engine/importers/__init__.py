"""Specs from what people have: other tools' descriptions, and disk images."""
