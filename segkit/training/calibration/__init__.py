"""Expected Dice and temperatures of a finished model, fitted to cases it was not trained on."""
