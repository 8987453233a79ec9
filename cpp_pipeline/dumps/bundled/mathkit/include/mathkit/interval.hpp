// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <vector>

namespace mathkit {

/// Closed interval of integers; both ends belong to it.
class Interval {
public:
    /// Make an interval from two ends in any order.
    Interval(int one_end, int other_end)
        : low_(std::min(one_end, other_end)), high_(std::max(one_end, other_end)) {}

    int low() const { return low_; }
    int high() const { return high_; }

    /// Number of integers in the interval.
    long long length() const { return static_cast<long long>(high_) - low_ + 1; }

    /// Tell whether a number lies in the interval; both ends count as inside.
    bool contains(int value) const { return low_ <= value && value <= high_; }

    /// Tell whether two intervals have at least one number in common.
    bool overlaps(const Interval& other) const { return low_ <= other.high_ && other.low_ <= high_; }

    /// Smallest interval that holds both intervals.
    Interval hull(const Interval& other) const {
        return Interval(std::min(low_, other.low_), std::max(high_, other.high_));
    }

private:
    int low_;
    int high_;
};

/// Join all intervals that overlap and return the rest in ascending order.
inline std::vector<Interval> merge_intervals(std::vector<Interval> intervals) {
    std::sort(intervals.begin(), intervals.end(),
              [](const Interval& a, const Interval& b) { return a.low() < b.low(); });
    std::vector<Interval> merged;
    for (const Interval& interval : intervals) {
        if (!merged.empty() && merged.back().overlaps(interval)) {
            merged.back() = merged.back().hull(interval);
        } else {
            merged.push_back(interval);
        }
    }
    return merged;
}

}  // namespace mathkit
