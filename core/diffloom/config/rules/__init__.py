"""The rules, by what they are about; `diffloom.config.lint` runs them."""
