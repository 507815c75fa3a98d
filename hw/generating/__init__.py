"""From a bundle to RTL: FINN in a process of its own, our top and shell around what it generates."""
