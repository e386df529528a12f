"""Training pictures: shards on disk, and the crops that a step sees."""
