"""Pages of figures: one file each that needs no other and no network. What all of them share."""
