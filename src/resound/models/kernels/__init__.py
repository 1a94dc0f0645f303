"""What makes the networks fast: products, convolutions and norms with gradients by hand; no network in here."""
