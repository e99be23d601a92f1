"""Labels apart from any file: scheme, coded terms, colors, components and postprocessing."""
