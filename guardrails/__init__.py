"""What may be asked and what may be said: NeMo Guardrails rails that run our own checks. No Ray, no HTTP."""
