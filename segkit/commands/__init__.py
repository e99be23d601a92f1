"""One module per verb: ``run(arguments)`` parses, calls, prints and returns the exit code."""
