// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace mathkit {

/// Find a value in an ascending list by bisection.
/// @param sorted list in ascending order
/// @param value value to look for
/// @return index of the first equal element, or -1 when there is none
template <typename T>
int binary_search_index(const std::vector<T>& sorted, const T& value) {
    std::size_t low = 0;
    std::size_t high = sorted.size();
    while (low < high) {
        const std::size_t middle = low + (high - low) / 2;
        if (sorted[middle] < value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < sorted.size() && sorted[low] == value ? static_cast<int>(low) : -1;
}

/// Collect the indices of all elements for which a condition holds.
template <typename T, typename Predicate>
std::vector<std::size_t> find_all(const std::vector<T>& values, Predicate condition) {
    std::vector<std::size_t> indices;
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (condition(values[i])) {
            indices.push_back(i);
        }
    }
    return indices;
}

/// Cut a list into pieces of equal length; the last piece holds what is left.
/// A size of 0 gives no pieces.
template <typename T>
std::vector<std::vector<T>> chunk(const std::vector<T>& values, std::size_t size) {
    std::vector<std::vector<T>> pieces;
    if (size == 0) {
        return pieces;
    }
    for (std::size_t start = 0; start < values.size(); start += size) {
        const std::size_t end = start + size < values.size() ? start + size : values.size();
        pieces.emplace_back(values.begin() + start, values.begin() + end);
    }
    return pieces;
}

/// Pair the elements of two lists by position; the longer list is cut.
template <typename A, typename B>
std::vector<std::pair<A, B>> zip(const std::vector<A>& left, const std::vector<B>& right) {
    std::vector<std::pair<A, B>> pairs;
    for (std::size_t i = 0; i < left.size() && i < right.size(); ++i) {
        pairs.emplace_back(left[i], right[i]);
    }
    return pairs;
}

/// Sort a list in place by insertion, which is quick for lists that are almost in order.
template <typename T>
void insertion_sort(std::vector<T>& values) {
    for (std::size_t i = 1; i < values.size(); ++i) {
        T current = std::move(values[i]);
        std::size_t hole = i;
        while (hole > 0 && current < values[hole - 1]) {
            values[hole] = std::move(values[hole - 1]);
            --hole;
        }
        values[hole] = std::move(current);
    }
}

}  // namespace mathkit
