"""Models that see an image grid by grid, from coarse to fine: each grid is one array of symbols, coded in parallel."""
