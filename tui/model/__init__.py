"""What the dashboard knows: no Textual here."""
