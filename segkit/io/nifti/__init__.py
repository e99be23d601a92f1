"""NIfTI: header, reader and writer."""
