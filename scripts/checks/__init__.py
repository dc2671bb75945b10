"""What must hold (`make test`): static checks, fast tests, groups of slow tests, and what a change touches of them."""
