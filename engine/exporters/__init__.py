"""Specs written as other tools take them."""
