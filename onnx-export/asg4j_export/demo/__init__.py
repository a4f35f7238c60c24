"""The demo model: rendered pictures with captions, training, sampling and gates."""
