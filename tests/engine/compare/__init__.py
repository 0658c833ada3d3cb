"""Tests of comparing images."""
