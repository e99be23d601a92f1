"""Files of a prediction: which scans go in, and which files come out."""
