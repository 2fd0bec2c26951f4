"""Commands, one module each. They parse and print; what they do is elsewhere."""
