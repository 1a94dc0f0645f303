"""resound restores sound."""
