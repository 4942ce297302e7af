"""What data are, before a model is trained on them: a page and a sheet of pictures."""
