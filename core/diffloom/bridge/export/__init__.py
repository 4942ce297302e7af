"""A model of ours in another program's form."""
