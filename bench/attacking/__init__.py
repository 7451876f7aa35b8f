"""What an attack is and what it is given: targets, text tools, drawing, a judge and a budget."""
