"""The weights of other programs' U-Nets: diffusers', latent-diffusion's, OpenAI's.

`walk` says what stands where in our module, `layers` which of its layers each part has, each program's naming what
these are called there; `layout` reads a network off names and shapes where no configuration says it.
"""
