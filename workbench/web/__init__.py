"""The web server, its routes, and what a visit keeps."""
