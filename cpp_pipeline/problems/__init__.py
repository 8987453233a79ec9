"""Problems with tests: formats, bundled and generated ones, mining, mutation, and their verification."""
