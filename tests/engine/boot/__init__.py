"""Tests of what makes an image boot."""
