"""The documentation site: what it is made of, and whether its links lead somewhere."""
