"""Repository dumps of any kind as tables of files, of commits, and of what could not be read."""
