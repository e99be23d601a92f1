"""DICOM objects made from label maps: read and write DICOM-SEG, and write RTSTRUCT."""
