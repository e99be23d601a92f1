"""Facts about this machine, from the files in which Linux states them.

Each function takes ``root``, the folder that stands for ``/``, so that a copy of these files can be
read instead. Other systems have no such files: the facts are then unknown.
"""
