"""Models with one level of latents, chained by bits back."""
