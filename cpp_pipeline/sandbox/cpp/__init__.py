"""Reading C++ text without a compiler: tokens, functions, prototypes, and which candidates are plain."""
