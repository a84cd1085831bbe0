"""Agents: what stands between a conversation and a model."""
