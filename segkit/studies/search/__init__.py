"""Search over the axes of compound scaling with Optuna: in SQLite, resumable, by several processes."""
