"""What both ends of a conversation through the API speak: server and client alike."""
