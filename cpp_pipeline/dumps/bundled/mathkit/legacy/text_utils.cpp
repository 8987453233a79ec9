// SPDX-License-Identifier: Apache-2.0
// Kept for programs that were written against version 1; new code uses mathkit/strings.hpp.
#include <cctype>
#include <string>
#include <vector>

namespace text_utils {

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

/// Tell whether two strings are made of the same characters, in any order at all.
bool same_letters(const std::string& a, const std::string& b) {
    int counts[256] = {0};
    for (unsigned char c : a) {
        ++counts[c];
    }
    for (unsigned char c : b) {
        --counts[c];
    }
    for (int count : counts) {
        if (count != 0) {
            return false;
        }
    }
    return true;
}

/// Count the words of a string. Words are separated by one or more white space characters.
int count_words(const std::string& input) {
    int words = 0;
    bool inside = false;
    for (char c : input) {
        if (std::isspace(static_cast<unsigned char>(c))) {
            inside = false;
        } else if (!inside) {
            inside = true;
            ++words;
        }
    }
    return words;
}

}  // namespace text_utils
