"""Training: patches, augmentation, losses and the fit that writes a bundle."""
