"""Conversations through the API: exec, attach, port-forward."""
