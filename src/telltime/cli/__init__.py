"""The command line: one verb, one thin file."""
