"""Files, folders and zips that hold DICOM."""
