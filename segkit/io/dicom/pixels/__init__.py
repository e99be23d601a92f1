"""Decode the pixels of DICOM files, checked before memory is allocated for them."""
