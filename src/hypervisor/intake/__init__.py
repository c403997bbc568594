"""From what the user named to an open queue: sources, pre-flight, opening."""
