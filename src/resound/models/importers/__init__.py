"""Published weights into ours: a module per origin, each by the parameter names of the original."""
