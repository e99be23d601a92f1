"""Plans: all decisions about a network and its input, without torch."""
