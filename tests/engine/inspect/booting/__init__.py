"""What inspect tells of loaders, systems and kernels."""
