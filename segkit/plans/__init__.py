"""Plans: every decision about how a dataset becomes the input of a network, and the network itself. No torch."""
