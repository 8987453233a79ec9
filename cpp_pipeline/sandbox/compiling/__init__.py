"""The compilers in their boxes, with precompiled headers."""
