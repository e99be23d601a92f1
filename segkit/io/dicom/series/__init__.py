"""Series of a study, and their images sorted into a volume.

A scan passes these files in this order: `study` groups images by series and `lost_files` looks for
missing ones, `choice` opens the series that is meant, `selection` keeps some of its images,
`image_groups` refuses a mixture of volumes, and `slice_stack` sorts the slices. `slice_spacing`
checks their distances, and `uneven_spacing` knows stacks of two or more slice thicknesses.
`properties`, `property_values`, `repeats` and `attributes` say in what images of a series differ.
"""
