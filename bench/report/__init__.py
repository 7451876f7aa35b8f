"""What stored scores say: tables, pictures, comparisons, the paper's table."""
