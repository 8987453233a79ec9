// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <numeric>
#include <vector>

#include "taskpool/pool.hpp"

int main() {
    std::vector<long long> numbers(1000000);
    std::iota(numbers.begin(), numbers.end(), 1);
    taskpool::Pool pool;
    std::vector<std::future<long long>> sums;
    for (auto [begin, end] : taskpool::split_range(numbers.size(), pool.size())) {
        sums.push_back(pool.submit([&numbers, begin = begin, end = end] {
            return std::accumulate(numbers.begin() + begin, numbers.begin() + end, 0LL);
        }));
    }
    long long total = 0;
    for (auto& sum : sums) {
        total += sum.get();
    }
    std::cout << total << "\n";
    return 0;
}
