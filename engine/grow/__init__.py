"""A finished image made larger: its table, one volume, and the file system in it."""
