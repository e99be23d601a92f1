"""What labels are, apart from any file: so far their colors."""
