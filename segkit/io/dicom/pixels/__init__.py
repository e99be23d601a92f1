"""Pixels of DICOM files, decoded with checks before memory is taken."""
