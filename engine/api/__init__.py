"""The API server: verbs, watch, patch, negotiation."""
