"""Networks that look at pictures: readers of letters, tellers of faces. Weights of others, read by us and run in torch."""
