"""NRRD and MetaImage: headers, reader and writer."""
