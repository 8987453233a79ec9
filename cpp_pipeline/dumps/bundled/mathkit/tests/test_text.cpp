// SPDX-License-Identifier: Apache-2.0
#include "check.hpp"
#include "mathkit/algorithms.hpp"
#include "mathkit/interval.hpp"
#include "mathkit/sequences.hpp"
#include "mathkit/strings.hpp"

using namespace mathkit;

int main() {
    CHECK(trim("  a b\n") == "a b" && trim("   ").empty());
    CHECK((split("a,,b", ',') == std::vector<std::string>{"a", "", "b"}));
    CHECK(join({"a", "b", "c"}, ", ") == "a, b, c");
    CHECK(is_palindrome("A man, a plan, a canal: Panama"));
    CHECK(count_words("  two  words ") == 2);
    CHECK(to_title("hELLO wORLD") == "Hello World");
    CHECK(caesar_shift(caesar_shift("Hello, World", 5), -5) == "Hello, World");
    CHECK(run_length_encode("aaab") == "a3b1" && run_length_decode("a12b") == "aaaaaaaaaaaab");
    CHECK(longest_common_prefix({"flower", "flow", "flight"}) == "fl");
    CHECK(replace_all("aaa", "aa", "b") == "ba");
    CHECK(edit_distance("kitten", "sitting") == 3);
    CHECK(brackets_balanced("{[()]}") && !brackets_balanced("(]"));
    CHECK(longest_word("a quick brown fox") == "quick");
    CHECK(parse_int("-2147483648", 7) == -2147483647 - 1 && parse_int("2147483648", 7) == 7);
    CHECK(parse_int("", 7) == 7 && parse_int("12a", 7) == 7);
    CHECK(count_occurrences("aaaa", "aa") == 3);

    CHECK((running_sum({1, 2, 3}) == std::vector<int>{1, 3, 6}));
    CHECK(second_largest({5, 5, 3}, -1) == 3 && second_largest({4}, -1) == -1);
    CHECK((rotate_left({1, 2, 3, 4}, -1) == std::vector<int>{4, 1, 2, 3}));
    CHECK(max_subarray_sum({-3, -1, -2}) == -1);
    CHECK(count_inversions({3, 1, 2}) == 2);
    CHECK(longest_increasing_run({1, 2, 2, 3, 4}) == 3);
    CHECK(count_pairs_with_sum({1, 1, 1}, 2) == 3);
    CHECK(majority_element({1, 2, 3}, -1) == -1);
    CHECK((window_maxima({1, 3, 2, 5}, 2) == std::vector<int>{3, 3, 5}));

    CHECK(binary_search_index<int>({1, 2, 2, 3}, 2) == 1);
    CHECK(chunk<int>({1, 2, 3}, 2).size() == 2);
    CHECK(merge_intervals({{1, 3}, {8, 9}, {2, 5}}).size() == 2);
    return 0;
}
