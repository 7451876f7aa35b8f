"""Erasure methods: one file each, one paper each."""
