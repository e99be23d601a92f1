"""Decode the pixels of DICOM files, after a check of the memory that they will take."""
