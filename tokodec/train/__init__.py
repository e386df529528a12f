"""One trainer for every model: a recipe in, a weights file, a log and a ledger line out."""
