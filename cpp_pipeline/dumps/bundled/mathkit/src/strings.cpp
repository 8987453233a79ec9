// SPDX-License-Identifier: Apache-2.0
#include "mathkit/strings.hpp"

#include <algorithm>
#include <cctype>
#include <limits>

namespace mathkit {

namespace {

bool is_space(char c) {
    return std::isspace(static_cast<unsigned char>(c)) != 0;
}

}  // namespace

/// Remove white space at both ends of a text; the inside is left alone.
std::string trim(const std::string& text) {
    std::size_t first = 0;
    while (first < text.size() && is_space(text[first])) {
        ++first;
    }
    std::size_t last = text.size();
    while (last > first && is_space(text[last - 1])) {
        --last;
    }
    return text.substr(first, last - first);
}

/// Cut a text at every separator. Empty parts are kept, so the result has one part
/// more than the text has separators.
std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::string part;
    for (char c : text) {
        if (c == separator) {
            parts.push_back(part);
            part.clear();
        } else {
            part.push_back(c);
        }
    }
    parts.push_back(part);
    return parts;
}

/// Put texts together with a separator between each two of them.
std::string join(const std::vector<std::string>& parts, const std::string& separator) {
    std::string text;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (i > 0) {
            text += separator;
        }
        text += parts[i];
    }
    return text;
}

/// Tell whether a text reads the same in both directions. Only letters and digits count,
/// and upper and lower case are equal.
bool is_palindrome(const std::string& text) {
    std::string letters;
    for (char c : text) {
        if (std::isalnum(static_cast<unsigned char>(c))) {
            letters.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
        }
    }
    return std::equal(letters.begin(), letters.begin() + letters.size() / 2, letters.rbegin());
}

/// Count the words of a text. Words are separated by one or more white space characters.
int count_words(const std::string& text) {
    int words = 0;
    bool inside = false;
    for (char c : text) {
        if (is_space(c)) {
            inside = false;
        } else if (!inside) {
            inside = true;
            ++words;
        }
    }
    return words;
}

/// Write the first letter of each word in upper case and all other letters in lower case.
std::string to_title(const std::string& text) {
    std::string title = text;
    bool start = true;
    for (char& c : title) {
        unsigned char letter = static_cast<unsigned char>(c);
        c = static_cast<char>(start ? std::toupper(letter) : std::tolower(letter));
        start = is_space(c);
    }
    return title;
}

/// Shift each letter of the alphabet by a number of places and wrap around at its end.
/// Other characters stay as they are; a negative shift undoes a positive one.
std::string caesar_shift(const std::string& text, int shift) {
    const int offset = (shift % 26 + 26) % 26;
    std::string shifted = text;
    for (char& c : shifted) {
        if (c >= 'a' && c <= 'z') {
            c = static_cast<char>('a' + (c - 'a' + offset) % 26);
        } else if (c >= 'A' && c <= 'Z') {
            c = static_cast<char>('A' + (c - 'A' + offset) % 26);
        }
    }
    return shifted;
}

/// Encode runs of equal characters as the character followed by the length of its run,
/// for example "aaab" as "a3b1".
std::string run_length_encode(const std::string& text) {
    std::string encoded;
    std::size_t i = 0;
    while (i < text.size()) {
        std::size_t end = i;
        while (end < text.size() && text[end] == text[i]) {
            ++end;
        }
        encoded += text[i];
        encoded += std::to_string(end - i);
        i = end;
    }
    return encoded;
}

/// Undo run_length_encode: each character is repeated as often as the number after it says.
/// A character without a number stands for itself once.
std::string run_length_decode(const std::string& text) {
    std::string decoded;
    std::size_t i = 0;
    while (i < text.size()) {
        char symbol = text[i++];
        std::size_t count = 0;
        bool has_count = false;
        while (i < text.size() && text[i] >= '0' && text[i] <= '9') {
            count = std::min<std::size_t>(count * 10 + (text[i] - '0'), 1000000);
            has_count = true;
            ++i;
        }
        decoded.append(has_count ? count : 1, symbol);
    }
    return decoded;
}

/// Find the longest text that all words start with. An empty list gives an empty text.
std::string longest_common_prefix(const std::vector<std::string>& words) {
    if (words.empty()) {
        return "";
    }
    std::string prefix = words.front();
    for (const std::string& word : words) {
        std::size_t length = 0;
        while (length < prefix.size() && length < word.size() && prefix[length] == word[length]) {
            ++length;
        }
        prefix.resize(length);
    }
    return prefix;
}

/// Replace every occurrence of one text by another, from left to right and without overlap.
/// Nothing is replaced when the text to look for is empty.
std::string replace_all(const std::string& text, const std::string& from, const std::string& to) {
    if (from.empty()) {
        return text;
    }
    std::string result;
    std::size_t start = 0;
    for (std::size_t hit = text.find(from); hit != std::string::npos; hit = text.find(from, start)) {
        result.append(text, start, hit - start);
        result += to;
        start = hit + from.size();
    }
    result.append(text, start, std::string::npos);
    return result;
}

/// Count the positions at which two texts of equal length differ; -1 when the lengths differ.
int hamming_distance(const std::string& left, const std::string& right) {
    if (left.size() != right.size()) {
        return -1;
    }
    int distance = 0;
    for (std::size_t i = 0; i < left.size(); ++i) {
        distance += left[i] != right[i];
    }
    return distance;
}

/// Levenshtein distance: the least number of insertions, deletions and substitutions of one
/// character that turn one text into the other.
int edit_distance(const std::string& left, const std::string& right) {
    std::vector<int> row(right.size() + 1);
    for (std::size_t j = 0; j <= right.size(); ++j) {
        row[j] = static_cast<int>(j);
    }
    for (std::size_t i = 1; i <= left.size(); ++i) {
        int diagonal = row[0];
        row[0] = static_cast<int>(i);
        for (std::size_t j = 1; j <= right.size(); ++j) {
            int substitution = diagonal + (left[i - 1] != right[j - 1]);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitution});
        }
    }
    return row.back();
}

/// Tell whether two texts consist of the same characters in any order.
bool are_anagrams(const std::string& left, const std::string& right) {
    std::string first = left;
    std::string second = right;
    std::sort(first.begin(), first.end());
    std::sort(second.begin(), second.end());
    return first == second;
}

/// Check that round, square and curly brackets are closed in the right order. All other
/// characters are ignored.
bool brackets_balanced(const std::string& text) {
    std::string open;
    for (char c : text) {
        if (c == '(' || c == '[' || c == '{') {
            open.push_back(c);
        } else if (c == ')' || c == ']' || c == '}') {
            char partner = c == ')' ? '(' : c == ']' ? '[' : '{';
            if (open.empty() || open.back() != partner) {
                return false;
            }
            open.pop_back();
        }
    }
    return open.empty();
}

/// Find the longest word of a text; of several with that length the first.
std::string longest_word(const std::string& text) {
    std::string longest;
    std::string word;
    for (char c : text + " ") {
        if (!is_space(c)) {
            word.push_back(c);
            continue;
        }
        if (word.size() > longest.size()) {
            longest = word;
        }
        word.clear();
    }
    return longest;
}

/// Read a decimal integer with an optional sign. Returns the fallback when the text holds
/// anything else or the number does not fit.
int parse_int(const std::string& text, int fallback) {
    std::size_t i = 0;
    bool negative = false;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) {
        negative = text[i] == '-';
        ++i;
    }
    if (i == text.size()) {
        return fallback;
    }
    long long value = 0;
    for (; i < text.size(); ++i) {
        if (text[i] < '0' || text[i] > '9') {
            return fallback;
        }
        value = value * 10 + (text[i] - '0');
        if (value > 1LL + std::numeric_limits<int>::max()) {
            return fallback;
        }
    }
    value = negative ? -value : value;
    return value > std::numeric_limits<int>::max() ? fallback : static_cast<int>(value);
}

/// Count how often a pattern occurs in a text; occurrences may overlap. An empty pattern
/// is never found.
int count_occurrences(const std::string& text, const std::string& pattern) {
    if (pattern.empty()) {
        return 0;
    }
    int count = 0;
    std::size_t hit = text.find(pattern);
    while (hit != std::string::npos) {
        ++count;
        hit = text.find(pattern, hit + 1);
    }
    return count;
}

/// Sort words by their length; words of equal length keep their order.
std::vector<std::string> sort_by_length(std::vector<std::string> words) {
    std::stable_sort(words.begin(), words.end(), [](const std::string& a, const std::string& b) {
        return a.size() < b.size();
    });
    return words;
}

}  // namespace mathkit
