"""The files of a run folder: checkpoints, bundle, log, pictures and report."""
