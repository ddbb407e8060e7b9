"""python -m serve_ranking SCRIPT PORT: one page with the app's routes and settings, without its security policy.

What is safe here is safe without the policy.
"""

import sys

import streamlit as st

from workbench.web.server import LOCAL, ROUTES, SETTINGS

script, port = sys.argv[1:]
st.App(script, routes=ROUTES).run(config=SETTINGS | {"server.port": int(port), "server.address": LOCAL})
