"""Origin of a training: a model, the weights of another training after a step, and a mask."""
