"""The form of a new campaign, without a terminal: what stands in it, what that asks for, what is wrong with it."""
