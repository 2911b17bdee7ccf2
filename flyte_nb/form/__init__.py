"""Form: the settings of an environment as fields with labels and texts, for whatever shows them; no widgets here."""
