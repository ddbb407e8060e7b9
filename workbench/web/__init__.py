"""The web server, its routes, and what pages share."""
