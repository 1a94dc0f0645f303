"""What `resound adapt` fits a model on: each kind of material with parts to learn from, to choose by, to decide by."""
