"""Who ranks which prompt next, and what they answered."""
