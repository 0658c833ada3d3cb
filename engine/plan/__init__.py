"""What will be written: pure arithmetic from spec and manifest to sectors and steps."""
