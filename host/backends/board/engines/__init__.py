"""DMA engines: their registers, their interrupt, and the thread that moves frames through two of them."""
