"""Series of a study, and their images sorted into a volume.

A scan passes through these modules in this order: `study` groups images by series and `lost_files`
looks for missing ones, `choice` opens the requested series, `selection` keeps some of its images,
`image_groups` refuses a mixture of volumes, and `slice_stack` sorts the slices. `slice_spacing`
checks their spacing, and `uneven_spacing` handles stacks with more than one slice thickness.
`properties`, `property_values`, `repeats` and `attributes` determine how the images of a series
differ.
"""
