"""The weights of other programs' autoencoders: diffusers', latent-diffusion's, and the tiny ones' own.

`walk` says what stands where in our module, `naming` what that is called elsewhere, `architecture` reads a network off
names and shapes, `options` off a configuration of diffusers.
"""
