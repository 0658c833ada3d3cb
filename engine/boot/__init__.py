"""How an image starts: kernels found in the contents, loaders, firmware, EFI variables."""
