"""The context of running code: which action it is part of, what it was told, what this process was initialized with."""
