"""The boxes of Parley: Serve deployments, and the pure core they decide with."""
