// SPDX-License-Identifier: Apache-2.0
#include "counter.hpp"

#include <algorithm>
#include <cctype>
#include <istream>

namespace wordcount {

Totals count_stream(std::istream& input) {
    Totals totals;
    bool inside = false;
    char c = 0;
    while (input.get(c)) {
        ++totals.characters;
        if (c == '\n') {
            ++totals.lines;
        }
        if (std::isspace(static_cast<unsigned char>(c))) {
            inside = false;
        } else if (!inside) {
            inside = true;
            ++totals.words;
        }
    }
    return totals;
}

std::vector<std::string> words_of(const std::string& text) {
    std::vector<std::string> words;
    std::string word;
    for (char c : text) {
        if (std::isalnum(static_cast<unsigned char>(c))) {
            word.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
        } else if (!word.empty()) {
            words.push_back(word);
            word.clear();
        }
    }
    if (!word.empty()) {
        words.push_back(word);
    }
    return words;
}

std::map<std::string, int> count_frequencies(const std::vector<std::string>& words) {
    std::map<std::string, int> frequencies;
    for (const std::string& word : words) {
        ++frequencies[word];
    }
    return frequencies;
}

std::vector<std::pair<std::string, int>> most_frequent(const std::map<std::string, int>& frequencies,
                                                       int limit) {
    std::vector<std::pair<std::string, int>> ordered(frequencies.begin(), frequencies.end());
    std::stable_sort(ordered.begin(), ordered.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    if (limit >= 0 && ordered.size() > static_cast<std::size_t>(limit)) {
        ordered.resize(limit);
    }
    return ordered;
}

}  // namespace wordcount
