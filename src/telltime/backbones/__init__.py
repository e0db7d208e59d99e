"""Networks from clips to feature maps; one architecture, one file."""
