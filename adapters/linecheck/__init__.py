"""The line check: a test call with sound, in a process of its own. See README.md.

The engine of its sound is pyVoIP 1.6.8, which only the modules `media` and `packet` know.
What is imported from outside is `order` (what is asked and answered) and `process` (who asks).
"""
