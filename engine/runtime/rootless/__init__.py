"""The engine of an ordinary user: the same code inside one user namespace."""
