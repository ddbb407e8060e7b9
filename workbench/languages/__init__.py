"""What people read on the pages, a file a language."""
