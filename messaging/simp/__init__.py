"""Simple messaging: protocol-neutral headers, templates, annotated controllers."""
