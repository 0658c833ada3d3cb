"""What is wanted: the spec, its rules, its tables."""
