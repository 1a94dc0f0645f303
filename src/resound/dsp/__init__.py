"""Pure signal maths on arrays: no files, no state, no settings."""
