"""Serve and Ray cluster files, and what checks them."""
