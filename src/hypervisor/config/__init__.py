"""What a project is: its root, its state folder and its settings."""
