"""The page of a benchmark: one file that shows figures and pictures, without a network and without whoever made it."""
