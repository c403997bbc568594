"""What everything else stands on: errors, text, keys, git, processes. Knows nothing above it."""
