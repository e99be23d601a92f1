"""DICOM objects made from a label map: DICOM-SEG and RTSTRUCT."""
