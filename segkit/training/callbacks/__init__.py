"""Lightning callbacks of a training: what happens around its steps."""
