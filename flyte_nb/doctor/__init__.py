"""Doctor: looks at what running tasks needs here, finds what is wrong, and says what to do."""
