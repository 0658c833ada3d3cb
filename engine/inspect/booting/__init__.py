"""What an image would boot, read off it without running anything of it."""
