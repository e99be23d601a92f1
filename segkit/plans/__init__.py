"""Plans: all decisions about the input of a network and the network itself, without torch."""
