"""diffloom beside diffusers: the same weights, inputs and process, the calls taking turns."""
