"""Lightning callbacks of a training and their parts: what happens around its steps."""
