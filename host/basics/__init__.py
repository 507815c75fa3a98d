"""What every room uses and nothing of which knows of images or accelerators: files, schemas, caches, intervals."""
