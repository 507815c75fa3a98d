"""How a study's cells are measured and trained, in which processes, and where results are kept."""
