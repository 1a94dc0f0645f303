"""Noise out of real recordings: stretches that hold nothing else, and a profile that a chain is fitted to."""
