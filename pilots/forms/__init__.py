"""What people type in, checked for shape only; the rules are the services'."""
