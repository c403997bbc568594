"""Task files: read with python-frontmatter, edited without touching any other byte, undone."""
