"""From a prepared scan to scores, labels and uncertainty on the grid of the scan."""
