"""The bundled demo model: its training script and the checkpoint it wrote (`models/quote/`)."""
