"""One run: asked for, set up, made round by round, recorded, stopped and resumed."""
