"""Where each family of models keeps its answer."""
