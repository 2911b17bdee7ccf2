"""What would happen, before it does: the order of environments and the bundle that would ship. Pure."""
