"""Every endpoint family keeps these promises; each family brings its rig."""
