"""Where every token came from and went to, and changes of it afterwards."""
