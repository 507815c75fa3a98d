"""Training, resumable, and what a run leaves: weights, records, a bundle."""
