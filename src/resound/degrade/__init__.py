"""What spoils a recording: each physical cause draws its parameters, then applies them."""
