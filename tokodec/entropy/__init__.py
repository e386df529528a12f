"""From symbols to bits and back, exactly, and the file that holds them."""
