"""DICOM objects made from a label map: DICOM-SEG, written and read, and RTSTRUCT, written."""
