"""Pictures of the wizard, and what takes them."""
