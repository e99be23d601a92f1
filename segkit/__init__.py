"""segkit: medical image segmentation with GroupNorm U-Nets."""
