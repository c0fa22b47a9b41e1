"""Models without latents: sample by sample, from neighbours that were coded before."""
