"""Every bridge family with a control session keeps these promises; each family brings its rig."""
