"""Apps: replicas behind one address, and what keeps them running."""
