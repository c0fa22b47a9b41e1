"""Training, with PyTorch: quantised layers, objective, loop, export. Nothing that codes imports this package."""
