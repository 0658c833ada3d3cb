"""Tests of NixOS images."""
