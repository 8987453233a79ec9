// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace mathkit {

std::string trim(const std::string& text);
std::vector<std::string> split(const std::string& text, char separator);
std::string join(const std::vector<std::string>& parts, const std::string& separator);
bool is_palindrome(const std::string& text);
int count_words(const std::string& text);
std::string to_title(const std::string& text);
std::string caesar_shift(const std::string& text, int shift);
std::string run_length_encode(const std::string& text);
std::string run_length_decode(const std::string& text);
std::string longest_common_prefix(const std::vector<std::string>& words);
std::string replace_all(const std::string& text, const std::string& from, const std::string& to);
int hamming_distance(const std::string& left, const std::string& right);
int edit_distance(const std::string& left, const std::string& right);
bool are_anagrams(const std::string& left, const std::string& right);
bool brackets_balanced(const std::string& text);
std::string longest_word(const std::string& text);
int parse_int(const std::string& text, int fallback);
int count_occurrences(const std::string& text, const std::string& pattern);
std::vector<std::string> sort_by_length(std::vector<std::string> words);

}  // namespace mathkit
