"""The face: REST, web console, command line, and the wiring of the whole."""
