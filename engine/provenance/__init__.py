"""What an image is made of and how its outputs are known again: sums, block map, packages."""
