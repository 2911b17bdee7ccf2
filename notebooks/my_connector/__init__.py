"""A package that holds connectors: the module that the connector environment of lesson 2 includes."""
