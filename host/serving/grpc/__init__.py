"""The protocol over gRPC; an extra, since not every board has wheels of it."""
