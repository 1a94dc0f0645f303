"""Training networks (needs the extra `train`)."""
