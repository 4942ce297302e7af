"""A run as one page of HTML: what it is, how it went, what it made, where it ran. Needs neither torch nor a plugin."""
