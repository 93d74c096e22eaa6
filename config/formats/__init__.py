"""How dates and times are written, for each language where Django's own way is not ours."""
