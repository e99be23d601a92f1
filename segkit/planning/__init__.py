"""Choose preprocessing, patch, network and augmentation for a measured dataset."""
