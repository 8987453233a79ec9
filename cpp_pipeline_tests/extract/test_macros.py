"""Which macros are overwritten."""

from __future__ import annotations

import pytest

from cpp_pipeline.extract.macros import MacroDefinitions


def forms(*texts: str) -> tuple[str, ...]:
    found = MacroDefinitions()
    for text in texts:
        found.add(text)
    return tuple(name for name in found.transparent() if name.startswith("API"))


@pytest.mark.parametrize(
    ("definition", "found"),
    [
        ("#define API", "API"),
        ('#define API __attribute__((visibility("default")))', "API"),
        ("#define API __declspec(dllexport)", "API"),
        ("#define API [[nodiscard]] inline /* why */", "API"),
        ("#define API inline \\\n  static", "API"),
        ("#  define API const // why", "API"),
        ("#define API alignas(16) noexcept(true)", "API"),
        ("#define API namespace a { inline namespace v1 {", "API"),
        ("#define API namespace a { inline namespace NAME(a, b(c)) \\\n {", "API"),
        ("#define API }}", "API"),
        ('#define API extern "C" {', "API"),
        ("#define API export {", "API"),
        ("#define OTHER inline\n#define API OTHER static", "API"),
        ("#define OTHER(x) __attribute__((x))\n#define API OTHER(cold)", "API"),
        ("#define API template <class T, int N = 1>", "API"),
        ("#define API try", "API"),
        ("#define API if (true)\n#define API try", "API"),
        ("#define API _Ret_notnull_\n#define API", "API"),
        ("#define API(x) __attribute__((x))", "API("),
        ("#define OTHER(x) __attribute__((x))\n#define API(x) OTHER(guarded(x))", "API("),
        ("#define API(x)", "API("),
        ("#define API(x) catch (x)\n#define API(x) if (false)", "API("),
        ("#define API(x) inline", "API("),
        ("#define API(x) x", "API(;"),
        ("#define API(a, b) void a(b) { } \\\n  int c", "API(;"),
        ("#define API(...) std::enable_if_t<(__VA_ARGS__), int> = 0", "API(=int"),
        ("#define API(...) typename std::enable_if<(__VA_ARGS__)>::type = 0\n#define API(...)", "API(=int"),
        ("#define API_ACCESS public\n#define API_ACCESS private", "API_ACCESS=public"),
        ("#define API private", None),  # shorter than the word
        ("#define API inline\n#define API 1", None),
        ("#define API 1", None),
        ("#define API int", None),
        ("#define API OTHER", None),
        ("int a; // #define API", None),
    ],
)
def test_forms(definition: str, found: str | None) -> None:
    assert forms(definition) == (() if found is None else (found,))


def test_definitions_of_several_files_count_together() -> None:
    assert forms("#define API inline", "#define API int") == ()
    assert forms("#define API int", "#ifdef X\n#define API\n#endif") == ("API",)


def test_keywords_and_enormous_values_do_not_vanish() -> None:
    found = MacroDefinitions()
    found.add("#define inline __inline\n#define API " + "inline " * 1_000)
    assert found.transparent() == ()
