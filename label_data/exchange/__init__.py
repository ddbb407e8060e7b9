"""Import files, export them, and exchange both with the Hugging Face Hub."""
