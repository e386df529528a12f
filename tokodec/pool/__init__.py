"""Worker processes: ``worker`` is the life of one, ``pool`` hands jobs out to several."""
