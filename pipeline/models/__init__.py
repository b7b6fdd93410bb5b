"""Networks, densities and the models composed of them."""
