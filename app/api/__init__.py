"""The documented APIs, one package a face, and what all of them share."""
