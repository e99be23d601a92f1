"""Files and folders that hold DICOM."""
