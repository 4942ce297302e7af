"""How programs lay a whole model out: folders and files, and what is where in them."""
