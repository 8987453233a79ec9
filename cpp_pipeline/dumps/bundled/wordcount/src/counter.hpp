// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iosfwd>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace wordcount {

/// Numbers of lines, words and characters of a text.
struct Totals {
    long long lines = 0;
    long long words = 0;
    long long characters = 0;
};

/// Count the lines, words and characters of a stream until its end.
Totals count_stream(std::istream& input);

/// Cut a text into words in lower case; anything but letters and digits separates words.
std::vector<std::string> words_of(const std::string& text);

/// Count how often each word occurs.
std::map<std::string, int> count_frequencies(const std::vector<std::string>& words);

/// The most frequent words, the most frequent first; equal counts in alphabetical order.
/// @param frequencies count of each word
/// @param limit largest number of words to return
std::vector<std::pair<std::string, int>> most_frequent(const std::map<std::string, int>& frequencies,
                                                       int limit);

}  // namespace wordcount
