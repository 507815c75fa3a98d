"""What results say: selected, paired, compared, named."""
