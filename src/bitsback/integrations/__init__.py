"""bitsback as a part of other libraries: a module each, an extra each, imported when it is asked for."""
