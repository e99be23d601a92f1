"""Study of normalization: the same U-Net with different norms, batch sizes and seeds."""
