"""Which documents go, which stay, and what a later run needs to know of them."""
