"""The walk over sources."""
