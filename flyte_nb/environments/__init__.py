"""What the user said: declarations, inert and without I/O."""
