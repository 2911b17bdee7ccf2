"""The local engine: tasks in isolated processes on this machine, recorded in the store."""
