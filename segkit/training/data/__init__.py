"""Training patches: which cases, which places, which random changes."""
