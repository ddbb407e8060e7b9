"""Import, export, the Hugging Face Hub."""
