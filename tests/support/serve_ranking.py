"""Serve one page with the app's routes and settings: python -m serve_ranking SCRIPT PORT

It has no content security policy, so tests on it show that the page is safe without one.
"""

import sys

import streamlit as st

from workbench.web.server import LOCAL, ROUTES, SETTINGS

script, port = sys.argv[1:]
st.App(script, routes=ROUTES).run(config=SETTINGS | {"server.port": int(port), "server.address": LOCAL})
