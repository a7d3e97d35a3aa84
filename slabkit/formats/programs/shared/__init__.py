"""What readers of several programs share."""
