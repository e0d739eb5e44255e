"""Retrieval-augmented answering in plain async Python: knows neither Ray nor HTTP."""
