"""Words that decide whether a candidate is plain.

Belongs here: the lists, and why a word is in one. Not here: the rule that uses them (`plain`), and types (`declared`).
"""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


BUILTIN = words("bool char double float int long short signed unsigned")
SIMPLE = words(
    """string size_t ptrdiff_t int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t string_view
    stringstream istringstream ostringstream"""
)
TEMPLATES = words(
    """array bitset deque function greater hash initializer_list less list map multimap multiset numeric_limits optional
    pair plus priority_queue queue set stack tuple unordered_map unordered_multimap unordered_multiset unordered_set
    vector"""
)
OPERATORS = words("and or not")
"""Spelled-out operators; the others (`bitand` is also an address) stay reserved."""
HEADED = words("catch for if switch while")
"""Statements that begin with a parenthesis in which names can be declared."""
TYPES = BUILTIN | {"auto"}
CALLS = TYPES | HEADED | OPERATORS | words("return sizeof throw")
"""Keywords that a parenthesis may follow; so may `PLAIN_BEFORE_PARENTHESIS`, where it begins an expression."""
PLAIN_BEFORE_PARENTHESIS = words("else do case default")
KEYWORDS = CALLS | PLAIN_BEFORE_PARENTHESIS | words("break const continue false static_cast true try")
RESERVED = words(
    """alignas alignof and_eq asm atomic_cancel bitand bitor char8_t char16_t char32_t class co_await
    co_return co_yield compl concept const_cast consteval constexpr constinit decltype delete dynamic_cast enum
    explicit export extern final friend goto import inline module mutable namespace new noexcept not_eq
    nullptr operator or_eq override private protected public register reinterpret_cast requires static
    static_assert struct template this thread_local typedef typeid typename typeof union using virtual
    void volatile wchar_t xor xor_eq main asm unix linux errno stdin stdout stderr environ NULL
    exit _exit _Exit quick_exit abort fork vfork system kill raise signal syscall malloc free"""
)
MACROS = words(
    """alloca assert assert_perror be16toh be32toh be64toh htobe16 htobe32 htobe64 htole16 htole32 htole64 issubnormal
    le16toh le32toh le64toh offsetof pthread_cleanup_pop pthread_cleanup_pop_restore_np pthread_cleanup_push
    pthread_cleanup_push_defer_np setjmp sigmask sigsetjmp strdupa strndupa timeradd timerclear timercmp timerisset
    timersub va_arg va_copy va_end va_start"""
)
"""What the standard headers define as macros with parameters: written as a name of one's own it is still expanded,
and some expansions open a brace that they do not close. Such macros of upper-case letters are known by their form."""
STD_NAMES = (SIMPLE | TEMPLATES) | words(
    """abs accumulate acos adjacent_difference adjacent_find all_of any_of asin atan atan2 atof atoi atol atoll
    back_inserter begin binary_search cbegin cbrt ceil cend clamp copy copy_if cos count count_if dec distance divides
    end equal equal_range equal_to exp exp2 fabs fill fill_n find find_first_of find_if find_if_not fixed floor fmax
    fmin fmod for_each gcd generate get getline greater_equal hex hypot includes inner_product inserter invalid_argument
    iota is_permutation is_sorted isalnum isalpha isdigit isfinite isinf isnan islower ispunct isspace isupper isxdigit
    labs lcm less_equal lexicographical_compare llabs llround log log10 log2 logic_error lower_bound lround make_heap
    make_optional make_pair make_tuple max max_element merge min min_element minmax minmax_element minus modulus move
    multiplies negate next next_permutation none_of not_equal_to nth_element nullopt out_of_range partial_sort
    partial_sum partition pop_heap pow prev prev_permutation push_heap rbegin remove remove_if rend replace replace_if
    reverse rotate round runtime_error set_difference set_intersection set_symmetric_difference set_union
    setfill setprecision setw sin size sort sort_heap sqrt stable_partition stable_sort stod stof stoi stol stoll stoul
    stoull strlen swap tan tie to_string tolower toupper transform trunc unique upper_bound"""
)
"""Functions of the standard library that compute and do nothing else, and its types that hold values."""
GLOBAL = words("isalnum isalpha isdigit islower ispunct isspace isupper isxdigit tolower toupper")
"""Functions of C, which may be written with `::` before them, as algorithms need it."""
BARE = SIMPLE | words("CHAR_BIT INT_MAX INT_MIN LLONG_MAX LLONG_MIN LONG_MAX LONG_MIN UINT_MAX DBL_MAX M_PI")
HEADERS = words(
    """algorithm array assert.h bits/stdc++.h bitset cassert cctype cfloat climits cmath cstddef cstdint cstdio cstdlib
    cstring ctime ctype.h deque exception float.h functional initializer_list iomanip ios iostream istream iterator
    limits limits.h list map math.h memory numeric optional ostream queue set sstream stack stddef.h stdexcept stdint.h
    stdio.h stdlib.h string string.h string_view time.h tuple type_traits unordered_map unordered_set utility vector"""
)
"""Standard headers that every compiler has and that are harmless to all who share a unit: they define names, of which
a plain body may use only the ones above."""
