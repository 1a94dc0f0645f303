"""Runs what restores: in chunks over recordings of any length, from files to files."""
