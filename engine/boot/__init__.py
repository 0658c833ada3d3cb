"""How an image boots: kernels found in the contents, loaders, firmware, EFI variables."""
