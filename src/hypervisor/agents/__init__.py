"""What is true of every AI client."""
