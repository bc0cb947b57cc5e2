"""Text to rule model: reading a file, its lines by the grammar, options by their extensions."""
