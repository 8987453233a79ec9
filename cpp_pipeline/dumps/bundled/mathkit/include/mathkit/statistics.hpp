// SPDX-License-Identifier: Apache-2.0
#ifndef MATHKIT_STATISTICS_HPP
#define MATHKIT_STATISTICS_HPP

#include <vector>

namespace mathkit {

/// Arithmetic mean of a sample; 0 for an empty one.
/// @param values numbers of the sample
double mean(const std::vector<double>& values);

/// Median of a sample: the middle value, or the mean of the two middle values when their
/// number is even. An empty sample has the median 0.
/// @param values numbers in any order
double median(std::vector<double> values);

/// Unbiased sample variance, with the divisor n - 1.
/// @param values numbers of the sample
/// @return 0 when there are fewer than two values
double variance(const std::vector<double>& values);

/// Percentile by linear interpolation between the closest ranks.
/// @param values numbers in any order
/// @param percent share between 0 and 100
/// @return 0 for an empty sample
double percentile(std::vector<double> values, double percent);

/// Pearson's correlation coefficient of two samples of equal size.
/// @return a number between -1 and 1; 0 when one of the samples does not vary
double correlation(const std::vector<double>& x, const std::vector<double>& y);

/// Exponentially smoothed copy of a series.
/// @param values series in the order of time
/// @param alpha weight of the newest value, between 0 and 1
std::vector<double> smooth(const std::vector<double>& values, double alpha);

/// Scale numbers linearly so that the smallest becomes 0 and the largest becomes 1.
/// When all numbers are equal, all become 0.
std::vector<double> normalise(const std::vector<double>& values);

/// Difference between the largest and the smallest number; 0 for an empty sample.
double value_range(const std::vector<double>& values);

}  // namespace mathkit

#endif
