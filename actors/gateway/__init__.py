"""The Serve ingress: sockets and HTTP, who is asking, and nothing kept but connections."""
