"""What of its own file a function uses."""

from __future__ import annotations

import polars as pl

from cpp_pipeline.extract.functions import read_functions
from cpp_pipeline.extract.used import MAX_HEAD_CHARACTERS, Heads, heads_of, packed, unpacked, words_of

TEXT = """
struct Unused { int a; };
class Cache final : public Base {
 public:
  /// Looks up.
  int find(const Key& key) const;
};
enum class Mode { kRead, kWrite };
using Key = std::string;
template <class T> struct Box { T value; };

static int helper(int a,   // first
                  int b) { return a + b; }
int unused_helper() { return 1; }

/// Reads.
int read(Cache& cache, const Key& key, Mode mode) {
  // unused_helper() is not called, nor "Unused" used.
  log("Unused");
  return helper(cache.find(key), 1);
}
"""


def used(text: str, name: str, **options: int) -> tuple[str, ...]:
    facts = read_functions(text)
    function = next(f for f in facts.functions if f.name == name)
    heads = heads_of(facts)
    assert unpacked(packed(heads)) == heads
    code = pl.DataFrame({"code": [f"{function.signature} {function.body}"]})
    words = code.select(words_of(pl.col("code"))).item().to_list()
    return Heads(heads, text.encode()).used_by(function.name, words, **options)


def test_heads_of_what_is_named() -> None:
    assert used(TEXT, "read") == (
        "class Cache final : public Base",
        "enum class Mode",
        "using Key = std::string;",
        "static int helper(int a, int b)",
        "find(const Key&)",
    )
    assert used(TEXT, "read", most=2) == ("class Cache final : public Base", "enum class Mode")


def test_what_is_not_there_and_what_is_long() -> None:
    assert used("/// Alone.\nint f(int f) { return f; }", "f") == ()
    many = f"class Long : {', '.join(f'public B{n}' for n in range(100))} {{ }};\n/// d\nLong f() {{ return g(); }}"
    (head,) = used(many, "f")
    assert len(head) == MAX_HEAD_CHARACTERS


def test_offsets_count_bytes() -> None:
    assert used("// größer €\nstruct Größe { };\n/// d\nGröße f() { return g(); }", "f") == ("struct Größe",)
