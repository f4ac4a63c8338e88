"""The read wing: what written lines say. It knows lines, not Django, and imports nothing of the other wings."""
