"""What a study asks: its configuration and its cells."""
