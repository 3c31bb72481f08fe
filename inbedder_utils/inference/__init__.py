"""How a model is run fast: knows tensors, never a task. Nobody outside the package goes in here."""
