"""What AI clients, and the agents that they run, may do with a queue."""
