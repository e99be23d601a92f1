"""The verbs of the command line, one module each.

``run(arguments)`` parses the arguments, does the work, prints and returns the exit code.
"""
