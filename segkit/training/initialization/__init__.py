"""What a training starts from: a model, the weights of another training's step, and a mask."""
