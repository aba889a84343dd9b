"""What the wizard knows and does in one place that outlives every screen; it knows no Textual."""
