"""How the embedded model is made: data → VAE → judge → UNet with its text encoder."""
