"""Roles, tables and placement: pure arithmetic."""
