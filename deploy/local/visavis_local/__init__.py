"""Visavis on one machine."""
