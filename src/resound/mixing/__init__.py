"""Examples for training and judging, made from corpora and degradations on the fly or written to disk."""
