"""Documents to token ids on disk, once, in bounded memory."""
