"""One file a format: its sample record on top, then how it is read and written."""
