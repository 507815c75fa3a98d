"""The vendor's part: scripts for Vivado and Vitis, running them, and reading what they found."""
