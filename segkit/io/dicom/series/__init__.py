"""The series of a study, and the slices of a series sorted into a volume."""
