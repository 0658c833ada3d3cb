"""What goes in: every entry of the image, from one walk over the sources."""
