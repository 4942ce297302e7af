"""The exact denoiser of a Gaussian mixture, as an ordinary backbone plugin."""
