"""Labels, independent of file formats: scheme, coded terms, colors, components, postprocessing."""
