"""From a scan to a network's input, and the way back."""
