"""The ranking screen: a Streamlit component that runs in the browser."""
