"""Views over plain records: what people see of environments, changes, plans and runs."""
