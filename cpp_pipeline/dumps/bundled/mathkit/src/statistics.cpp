// SPDX-License-Identifier: Apache-2.0
#include "mathkit/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

namespace mathkit {

double mean(const std::vector<double>& values) {
    if (values.empty()) {
        return 0.0;
    }
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double median(std::vector<double> values) {
    if (values.empty()) {
        return 0.0;
    }
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    if (values.size() % 2 == 1) {
        return values[middle];
    }
    return (values[middle - 1] + values[middle]) / 2.0;
}

double variance(const std::vector<double>& values) {
    if (values.size() < 2) {
        return 0.0;
    }
    const double centre = mean(values);
    double sum = 0.0;
    for (double value : values) {
        sum += (value - centre) * (value - centre);
    }
    return sum / static_cast<double>(values.size() - 1);
}

double percentile(std::vector<double> values, double percent) {
    if (values.empty()) {
        return 0.0;
    }
    std::sort(values.begin(), values.end());
    const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
    const double rank = share * static_cast<double>(values.size() - 1);
    const std::size_t below = static_cast<std::size_t>(std::floor(rank));
    const std::size_t above = std::min(below + 1, values.size() - 1);
    const double weight = rank - static_cast<double>(below);
    return values[below] * (1.0 - weight) + values[above] * weight;
}

double correlation(const std::vector<double>& x, const std::vector<double>& y) {
    const std::size_t n = std::min(x.size(), y.size());
    if (n < 2) {
        return 0.0;
    }
    const double mean_x = mean(x);
    const double mean_y = mean(y);
    double xy = 0.0;
    double xx = 0.0;
    double yy = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
        xy += (x[i] - mean_x) * (y[i] - mean_y);
        xx += (x[i] - mean_x) * (x[i] - mean_x);
        yy += (y[i] - mean_y) * (y[i] - mean_y);
    }
    if (xx == 0.0 || yy == 0.0) {
        return 0.0;
    }
    return xy / std::sqrt(xx * yy);
}

std::vector<double> smooth(const std::vector<double>& values, double alpha) {
    std::vector<double> smoothed;
    smoothed.reserve(values.size());
    for (double value : values) {
        const double last = smoothed.empty() ? value : smoothed.back();
        smoothed.push_back(alpha * value + (1.0 - alpha) * last);
    }
    return smoothed;
}

std::vector<double> normalise(const std::vector<double>& values) {
    std::vector<double> scaled(values.size(), 0.0);
    const double width = value_range(values);
    if (width == 0.0) {
        return scaled;
    }
    const double smallest = *std::min_element(values.begin(), values.end());
    for (std::size_t i = 0; i < values.size(); ++i) {
        scaled[i] = (values[i] - smallest) / width;
    }
    return scaled;
}

double value_range(const std::vector<double>& values) {
    if (values.empty()) {
        return 0.0;
    }
    const auto [smallest, largest] = std::minmax_element(values.begin(), values.end());
    return *largest - *smallest;
}

}  // namespace mathkit
