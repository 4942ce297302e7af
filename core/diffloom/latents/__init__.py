"""Latents: measured, so that they can be normalised; and encoded once, to train from."""
