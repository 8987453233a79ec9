// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace mathkit {

//! Replace each number by the sum of all numbers up to and including it.
inline std::vector<int> running_sum(const std::vector<int>& values) {
    std::vector<int> sums;
    sums.reserve(values.size());
    int total = 0;
    for (int value : values) {
        total += value;
        sums.push_back(total);
    }
    return sums;
}

//! Find the second largest distinct number. The fallback is returned when there is none.
inline int second_largest(const std::vector<int>& values, int fallback) {
    bool has_first = false;
    bool has_second = false;
    int first = 0;
    int second = 0;
    for (int value : values) {
        if (!has_first || value > first) {
            second = first;
            has_second = has_first;
            first = value;
            has_first = true;
        } else if (value != first && (!has_second || value > second)) {
            second = value;
            has_second = true;
        }
    }
    return has_second ? second : fallback;
}

//! Rotate a list to the left by a number of places. A negative number rotates to the right.
inline std::vector<int> rotate_left(const std::vector<int>& values, int places) {
    if (values.empty()) {
        return values;
    }
    const int size = static_cast<int>(values.size());
    const int offset = (places % size + size) % size;
    std::vector<int> rotated(values.begin() + offset, values.end());
    rotated.insert(rotated.end(), values.begin(), values.begin() + offset);
    return rotated;
}

//! Keep the first occurrence of every number and drop the others; the order stays.
inline std::vector<int> remove_duplicates(const std::vector<int>& values) {
    std::unordered_set<int> seen;
    std::vector<int> unique;
    for (int value : values) {
        if (seen.insert(value).second) {
            unique.push_back(value);
        }
    }
    return unique;
}

//! Largest sum of a non-empty run of neighbours, by Kadane's algorithm; 0 for an empty list.
inline int max_subarray_sum(const std::vector<int>& values) {
    if (values.empty()) {
        return 0;
    }
    int best = values.front();
    int current = values.front();
    for (std::size_t i = 1; i < values.size(); ++i) {
        current = std::max(values[i], current + values[i]);
        best = std::max(best, current);
    }
    return best;
}

//! Count the pairs of positions whose numbers are in descending order.
inline long long count_inversions(const std::vector<int>& values) {
    long long inversions = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        for (std::size_t j = i + 1; j < values.size(); ++j) {
            inversions += values[i] > values[j];
        }
    }
    return inversions;
}

//! Merge two ascending lists into one ascending list.
inline std::vector<int> merge_sorted(const std::vector<int>& left, const std::vector<int>& right) {
    std::vector<int> merged;
    merged.reserve(left.size() + right.size());
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < left.size() && j < right.size()) {
        merged.push_back(left[i] <= right[j] ? left[i++] : right[j++]);
    }
    merged.insert(merged.end(), left.begin() + i, left.end());
    merged.insert(merged.end(), right.begin() + j, right.end());
    return merged;
}

//! Length of the longest run of neighbours in which each number is greater than the one before.
inline int longest_increasing_run(const std::vector<int>& values) {
    int longest = 0;
    int length = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        length = i > 0 && values[i] > values[i - 1] ? length + 1 : 1;
        longest = std::max(longest, length);
    }
    return longest;
}

//! Count the pairs of positions whose numbers add up to a target.
inline int count_pairs_with_sum(const std::vector<int>& values, int target) {
    std::unordered_map<long long, int> seen;
    int pairs = 0;
    for (int value : values) {
        auto partner = seen.find(static_cast<long long>(target) - value);
        if (partner != seen.end()) {
            pairs += partner->second;
        }
        ++seen[value];
    }
    return pairs;
}

//! Find the number that fills more than half of a list; the fallback when there is none.
inline int majority_element(const std::vector<int>& values, int fallback) {
    int candidate = fallback;
    int votes = 0;
    for (int value : values) {
        if (votes == 0) {
            candidate = value;
        }
        votes += value == candidate ? 1 : -1;
    }
    const auto count = std::count(values.begin(), values.end(), candidate);
    return static_cast<std::size_t>(count) * 2 > values.size() ? candidate : fallback;
}

//! Smallest number, starting from 1, that does not occur in the list.
inline int first_missing_positive(const std::vector<int>& values) {
    std::unordered_set<int> present(values.begin(), values.end());
    int candidate = 1;
    while (present.count(candidate) > 0) {
        ++candidate;
    }
    return candidate;
}

//! Move all zeros to the end; the other numbers keep their order.
inline std::vector<int> move_zeros_to_end(const std::vector<int>& values) {
    std::vector<int> moved;
    for (int value : values) {
        if (value != 0) {
            moved.push_back(value);
        }
    }
    moved.resize(values.size(), 0);
    return moved;
}

//! Largest number of each window of neighbours; empty when the window is wider than the list.
inline std::vector<int> window_maxima(const std::vector<int>& values, int width) {
    std::vector<int> maxima;
    if (width < 1) {
        return maxima;
    }
    for (std::size_t end = width; end <= values.size(); ++end) {
        maxima.push_back(*std::max_element(values.begin() + (end - width), values.begin() + end));
    }
    return maxima;
}

//! Tell whether the numbers never get smaller from left to right.
inline bool is_ascending(const std::vector<int>& values) {
    for (std::size_t i = 1; i < values.size(); ++i) {
        if (values[i] < values[i - 1]) {
            return false;
        }
    }
    return true;
}

}  // namespace mathkit
