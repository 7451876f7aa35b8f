"""Files that are whole or absent, and keys made of content."""
