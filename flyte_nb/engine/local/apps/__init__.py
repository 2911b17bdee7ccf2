"""Apps: served by supervised processes behind one address each.

A *service* is the app as a whole: it decides how many replicas run, starts, replaces and ends them, and tells its
gateway where requests go. A *replica* is a process of its own that calls the app's hooks and its server, or runs its
command. Nothing of it outlives the kernel.
"""
