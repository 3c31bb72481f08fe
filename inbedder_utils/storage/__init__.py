"""What is kept on disk. Importing this imports nothing: listing caches needs no model library."""
