"""Restoration without learning: clicks, hum and hiss.  The embedded default, and the honest baseline."""
