"""What CI, which is root, does not see: a slice of the suite as an ordinary user."""
