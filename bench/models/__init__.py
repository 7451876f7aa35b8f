"""The text-to-image model: names, loading, device, the UNet's parts, weights that changed, what running it costs."""
