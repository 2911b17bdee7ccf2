"""Where declarations came from: the cells that ran, and the module that their definitions become."""
