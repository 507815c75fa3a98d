"""The FINN side of a build: a process of its own, so that FINN's globals and pins never reach the caller."""
