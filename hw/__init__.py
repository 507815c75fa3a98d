"""From the integer network to FINN to RTL to simulation, resource counts and, with a vendor's tools, a bitstream."""
