"""One file per scheduling plugin."""
