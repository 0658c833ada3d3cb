"""Reading finished images without root."""
