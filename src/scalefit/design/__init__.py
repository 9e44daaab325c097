"""What a design of runs determines, and which runs to add to it."""
