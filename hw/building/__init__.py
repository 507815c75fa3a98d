"""The whole of a build: generated, sized, counted, proved, reported, and its bitstream."""
