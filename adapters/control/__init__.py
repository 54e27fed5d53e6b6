"""What families with a control session share, whatever the session speaks: text or HTTP."""
