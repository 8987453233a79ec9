// SPDX-License-Identifier: Apache-2.0
#include "mathkit/numbers.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace mathkit {

int gcd(int a, int b) {
    a = std::abs(a);
    b = std::abs(b);
    while (b != 0) {
        int rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

long long lcm(int a, int b) {
    if (a == 0 || b == 0) {
        return 0;
    }
    long long product = static_cast<long long>(a) / gcd(a, b) * b;
    return std::llabs(product);
}

bool is_prime(int n) {
    if (n < 2) {
        return false;
    }
    for (long long divisor = 2; divisor * divisor <= n; ++divisor) {
        if (n % divisor == 0) {
            return false;
        }
    }
    return true;
}

std::vector<int> primes_below(int limit) {
    std::vector<int> primes;
    if (limit <= 2) {
        return primes;
    }
    std::vector<bool> composite(static_cast<std::size_t>(limit), false);
    for (int candidate = 2; candidate < limit; ++candidate) {
        if (composite[candidate]) {
            continue;
        }
        primes.push_back(candidate);
        for (long long multiple = 1LL * candidate * candidate; multiple < limit; multiple += candidate) {
            composite[multiple] = true;
        }
    }
    return primes;
}

std::vector<int> prime_factors(int n) {
    std::vector<int> factors;
    for (int divisor = 2; 1LL * divisor * divisor <= n; ++divisor) {
        while (n % divisor == 0) {
            factors.push_back(divisor);
            n /= divisor;
        }
    }
    if (n > 1) {
        factors.push_back(n);
    }
    return factors;
}

int power_mod(int base, int exponent, int modulus) {
    long long result = 1 % modulus;
    long long square = base % modulus;
    while (exponent > 0) {
        if (exponent % 2 == 1) {
            result = result * square % modulus;
        }
        square = square * square % modulus;
        exponent /= 2;
    }
    return static_cast<int>(result);
}

int digit_sum(int n) {
    int sum = 0;
    while (n != 0) {
        sum += std::abs(n % 10);
        n /= 10;
    }
    return sum;
}

long long reverse_digits(int n) {
    long long reversed = 0;
    while (n != 0) {
        reversed = reversed * 10 + n % 10;
        n /= 10;
    }
    return reversed;
}

int count_set_bits(unsigned int value) {
    int bits = 0;
    while (value != 0) {
        value &= value - 1;
        ++bits;
    }
    return bits;
}

int collatz_steps(int n) {
    long long current = n;
    int steps = 0;
    while (current > 1) {
        current = current % 2 == 0 ? current / 2 : 3 * current + 1;
        ++steps;
    }
    return steps;
}

int integer_sqrt(int n) {
    int low = 0;
    int high = n;
    while (low < high) {
        int middle = low + (high - low) / 2 + (high - low) % 2;
        if (1LL * middle * middle <= n) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

bool is_perfect(int n) {
    if (n < 2) {
        return false;
    }
    long long sum = 1;
    for (int divisor = 2; 1LL * divisor * divisor <= n; ++divisor) {
        if (n % divisor != 0) {
            continue;
        }
        sum += divisor;
        if (divisor != n / divisor) {
            sum += n / divisor;
        }
    }
    return sum == n;
}

std::string to_roman(int value) {
    static const std::pair<int, const char*> symbols[] = {
        {1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"}, {90, "XC"}, {50, "L"},
        {40, "XL"},  {10, "X"},   {9, "IX"},  {5, "V"},    {4, "IV"},  {1, "I"},
    };
    std::string numerals;
    if (value < 1 || value > 3999) {
        return numerals;
    }
    for (const auto& [weight, symbol] : symbols) {
        while (value >= weight) {
            numerals += symbol;
            value -= weight;
        }
    }
    return numerals;
}

int from_roman(const std::string& numerals) {
    const std::string letters = "IVXLCDM";
    const int weights[] = {1, 5, 10, 50, 100, 500, 1000};
    int total = 0;
    int previous = 0;
    for (auto it = numerals.rbegin(); it != numerals.rend(); ++it) {
        std::size_t index = letters.find(*it);
        if (index == std::string::npos) {
            return -1;
        }
        int weight = weights[index];
        total += weight < previous ? -weight : weight;
        previous = std::max(previous, weight);
    }
    return total;
}

std::string to_base(int value, int base) {
    const char* digits = "0123456789abcdef";
    if (value == 0) {
        return "0";
    }
    std::string text;
    while (value > 0) {
        text.push_back(digits[value % base]);
        value /= base;
    }
    std::reverse(text.begin(), text.end());
    return text;
}

}  // namespace mathkit
