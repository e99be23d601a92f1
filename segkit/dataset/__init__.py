"""Read datasets: find the image and label files of each case in one of five layouts.

Only `case_files` and `names_from_files` open the files; everything else looks at paths and names.
"""
