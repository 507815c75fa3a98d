"""Which units a network needs, how parallel each is, for which board."""
