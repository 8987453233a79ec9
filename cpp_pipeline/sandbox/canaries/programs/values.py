"""Programs whose values cross the pipe: every supported type, once right and now and then wrong.

Belongs here: what comes back and what it is compared with. Not here: programs that fail otherwise (`faults`).
"""

from __future__ import annotations

from cpp_pipeline.sandbox.canaries.programs.program import Program, called, test

_POINT = "#include <vector>\n#include <string>\nstruct Point { int x = 0; double y = 0; };\n"
_LINE = f"{_POINT}struct Line {{ std::string name; std::vector<Point> points; }};\n"
_STATS = "std::map<std::string, int> count_words(const std::vector<std::string>& words)"
_COUNT = "std::map<std::string, int> m; for (const auto& w : words) m[w]++; return m;"
_SWAP, _FIND = "void swap_both(int& a, int& b)", "std::optional<int> find_even(const std::vector<int>& v)"
_MEAN, _LOOK = (
    "double mean(const std::vector<double>& v)",
    "for (int x : v) if (x % 2 == 0) return x; return std::nullopt;",
)
_REVERSE = "std::string reversed(const std::string& s)"
_SORT = "std::vector<int> ordered(std::vector<int> v)"
_TRANSPOSE = "std::vector<std::vector<int>> transpose(const std::vector<std::vector<int>>& m)"
_TRANSPOSED = """std::vector<std::vector<int>> t(m.empty() ? 0 : m[0].size());
    for (const auto& row : m) for (size_t i = 0; i < row.size(); ++i) t[i].push_back(row[i]);
    return t;"""
_DIVIDE = "std::pair<int, int> divide(int a, int b)"
_FLIP = "std::vector<bool> flip(std::vector<bool> v)"
_LETTERS = "std::set<char> letters(const std::string& s)"
_WORDS = [["a", "b", "a"]], [["a", 2], ["b", 1]]

VALUES: tuple[Program, ...] = (
    called("int", "AC", "int add(int a, int b)", "return a + b;", test(3, 1, 2), test(-1, 2**31 - 1, -(2**31))),
    called("int_wrong", "WA", "int add(int a, int b)", "return a + b + 1;", test(3, 1, 2), test(0, 0, 0)),
    called("int_half_right", "PA", "int sign(int a)", "return a > 0 ? 1 : -1;", test(1, 9), test(0, 0), passed=1),
    called("long_long", "AC", "long long twice(long long n)", "return 2 * n;", test(-(2**63), -(2**62)), test(2, 1)),
    called(
        "int_overflows", "PA", "long long square(int n)", "return n * n;", test(10**10, 10**5), test(4, 2), passed=1
    ),
    called("uint64_t", "AC", "uint64_t top(uint64_t n)", "return ~n;", test(2**64 - 1, 0), test(0, 2**64 - 1)),
    called("bool", "AC", "bool odd(int n)", "return n % 2 != 0;", test(True, -3), test(False, 4)),
    called("char", "AC", "char next(char c)", "return c + 1;", test("b", "a"), test("\x80", "\x7f")),
    called("double", "AC", _MEAN, "return std::accumulate(v.begin(), v.end(), 0.0) / v.size();", test(0.2, [0.1, 0.3])),
    called("double_close", "AC", _MEAN, "return 0.2 + 1e-9;", test(0.2, [0.1, 0.3])),
    called("double_not_close", "WA", _MEAN, "return 0.2 + 1e-4;", test(0.2, [0.1, 0.3])),
    called("double_special", "AC", "double ratio(double a)", "return a / 0.0;", test("nan", 0.0), test("-inf", -1.0)),
    called("nan_is_no_number", "WA", _MEAN, 'return std::nan("");', test(0.2, [0.1, 0.3])),
    called("float", "AC", "float half(float x)", "return x / 2;", test(0.05, 0.1), test("inf", "inf")),
    called("string", "AC", _REVERSE, "return {s.rbegin(), s.rend()};", test("cba", "abc"), test("", "")),
    called("string_with_zero", "AC", _REVERSE, "return {s.rbegin(), s.rend()};", test("b\0a", "a\0b")),
    called("string_longer", "WA", _REVERSE, "return s + ' ';", test("cba", "abc")),
    # equal but for a blank inside a string: what is judged once for both is judged wrong for one
    called("two_blanks", "AC", "std::string gap(int)", 'return "a  b";', test("a  b", 1)),
    called("one_blank", "WA", "std::string gap(int)", 'return "a b";', test("a  b", 1)),
    called("vector", "AC", _SORT, "std::sort(v.begin(), v.end()); return v;", test([1, 2, 3], [3, 1, 2]), test([], [])),
    called("vector_order_matters", "WA", _SORT, "std::sort(v.rbegin(), v.rend()); return v;", test([1, 2], [1, 2])),
    called("vector_bool", "AC", _FLIP, "v.flip(); return v;", test([True, False], [False, True])),
    called("vector_vector", "AC", _TRANSPOSE, _TRANSPOSED, test([[1, 3], [2, 4]], [[1, 2], [3, 4]]), test([], [])),
    called("pair", "AC", _DIVIDE, "return {a / b, a % b};", test([3, 1], 7, 2), test([-3, -1], -7, 2)),
    called("pair_swapped", "WA", _DIVIDE, "return {a % b, a / b};", test([3, 1], 7, 2)),
    called(
        *("tuple", "AC", "std::tuple<int, std::string, bool> describe(int n)"),
        'return {n, n < 0 ? "minus" : "plus", n % 2 == 0};',
        *(test([-2, "minus", True], -2), test([3, "plus", False], 3)),
    ),
    called("map", "AC", _STATS, _COUNT, test(_WORDS[1], *_WORDS[0]), test([], [])),
    called(
        "map_lacks_a_key",
        "WA",
        _STATS,
        _COUNT.replace("return m", 'm.erase("b"); return m'),
        test(_WORDS[1], *_WORDS[0]),
    ),
    called(
        *("unordered_map", "AC", "std::unordered_map<int, int> squares(int n)"),
        "std::unordered_map<int, int> m; for (int i = n; i > 0; --i) m[i] = i * i; return m;",
        test([[1, 1], [2, 4], [3, 9]], 3),
        preamble="#include <unordered_map>\n",
    ),
    called("set", "AC", _LETTERS, "return {s.begin(), s.end()};", test(["b", "a"], "abba"), test([], "")),
    called("optional", "AC", _FIND, _LOOK, test(4, [3, 4]), test(None, [1])),
    called("optional_never", "PA", _FIND, "return std::nullopt;", test(4, [3, 4]), test(None, [1]), passed=1),
    called(
        *("array", "AC", "std::array<int, 3> rotate(std::array<int, 3> a)", "return {a[1], a[2], a[0]};"),
        test([2, 3, 1], [1, 2, 3]),
        preamble="#include <array>\n",
    ),
    called(
        *("deque", "AC", "std::deque<int> grow(std::deque<int> d)", "d.push_front(0); return d;"),
        *(test([0, 5], [5]), test([0], [])),
        preamble="#include <deque>\n",
    ),
    called(
        *("list", "AC", "std::list<std::string> flat(std::list<std::string> l)", "l.unique(); return l;"),
        test(["a", "b", "a"], ["a", "a", "b", "a"]),
        preamble="#include <list>\n#include <string>\n",
    ),
    called(
        *("unordered_set", "AC", "std::unordered_set<int> distinct(const std::vector<int>& v)"),
        "return {v.begin(), v.end()};",
        test([7, 3], [3, 7, 3]),
        preamble="#include <unordered_set>\n#include <vector>\n",
    ),
    called(
        *("multiset", "AC", "std::multiset<int> bag(const std::vector<int>& v)", "return {v.begin(), v.end()};"),
        test([7, 3, 3], [3, 7, 3]),
    ),
    called("references", "AC", _SWAP, "std::swap(a, b);", test(None, 1, 2, after=[2, 1])),
    called("references_unchanged", "WA", _SWAP, "return;", test(None, 1, 2, after=[2, 1])),
    called("one_reference", "WA", _SWAP, "a = b;", test(None, 1, 2, after=[2, 1])),
    called(
        *("reference_and_result", "AC", "bool pop(std::vector<int>& v)"),
        "if (v.empty()) return false; v.pop_back(); return true;",
        *(test(True, [1, 2], after=[[1]]), test(False, [], after=[[]])),
    ),
    called(
        *("struct", "AC", "Point moved(Point p, int by)", "p.x += by; return p;"),
        test({"x": 5, "y": 0.5}, {"x": 2, "y": 0.5}, 3),
        preamble=_POINT,
    ),
    called(
        *("struct_wrong_member", "WA", "Point moved(Point p, int by)", "p.y += by; return p;"),
        test({"x": 5, "y": 0.5}, {"x": 2, "y": 0.5}, 3),
        preamble=_POINT,
    ),
    called(
        *("struct_in_struct", "AC", "std::vector<Line> named(const std::vector<Line>& lines, const std::string& name)"),
        "std::vector<Line> out; for (const auto& l : lines) if (l.name == name) out.push_back(l); return out;",
        test(
            [{"name": "b", "points": [{"x": 1, "y": 2.0}]}],
            [{"name": "a", "points": []}, {"name": "b", "points": [{"x": 1, "y": 2.0}]}],
            "b",
        ),
        preamble=_LINE,
    ),
    called(
        *("large_values", "AC", "std::vector<int> copy_of(const std::vector<int>& v)", "return v;"),
        test(list(range(10_000)), list(range(10_000))),
    ),
)
