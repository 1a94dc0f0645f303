"""What there is to learn from: manifests of recordings, their layouts, their splits."""
