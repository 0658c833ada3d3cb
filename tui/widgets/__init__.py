"""The widgets of the wizard: they show values and post messages, and own no truth."""
