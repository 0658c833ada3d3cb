"""Tests of reading finished images."""
