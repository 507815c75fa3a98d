"""What is written of a map: the raster, and what may lie beside it."""
