"""The build: async steps that execute a plan."""
