"""Claude Code: how it is started, held in bounds, read and examined."""
