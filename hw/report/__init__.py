"""What a build found, as data and as a page."""
