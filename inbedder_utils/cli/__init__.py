"""The verbs of the command line, one module each; everything heavy is imported by the verb that needs it."""
