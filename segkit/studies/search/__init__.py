"""Search over the axes of compound scaling with Optuna, resumable and by several processes."""
