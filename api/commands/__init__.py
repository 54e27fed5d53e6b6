"""The words of the command line, one file for each family of words."""
