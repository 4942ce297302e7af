"""Looking at models: what one is, how its schedule runs, which sampler suits it. Behind the commands of those names."""
