"""What every family with a control session promises, one clause a test, over every family and dialect."""
