"""The ranking screen: its Python side, and browser/ with its HTML, CSS and JavaScript."""
