"""One file per controller: make what is into what should be."""
