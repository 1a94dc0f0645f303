"""Whatever touches media files: reading and writing recordings, their metadata, and the videos around them."""
