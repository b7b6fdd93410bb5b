"""Images to bytes and back: without loss at the price −ELBO (bits-back coding), and lossy, as z alone."""
