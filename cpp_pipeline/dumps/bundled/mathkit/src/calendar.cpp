// SPDX-License-Identifier: Apache-2.0
#include "mathkit/calendar.hpp"

namespace mathkit {

bool is_leap_year(int year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int days_in_month(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month < 1 || month > 12) {
        return 0;
    }
    if (month == 2 && is_leap_year(year)) {
        return 29;
    }
    return days[month - 1];
}

int day_of_year(int year, int month, int day) {
    int number = day;
    for (int earlier = 1; earlier < month; ++earlier) {
        number += days_in_month(year, earlier);
    }
    return number;
}

int day_of_week(int year, int month, int day) {
    static const int offsets[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};
    if (month < 3) {
        --year;
    }
    return (year + year / 4 - year / 100 + year / 400 + offsets[month - 1] + day) % 7;
}

std::string format_duration(int seconds) {
    const int hours = seconds / 3600;
    const int minutes = seconds / 60 % 60;
    const int rest = seconds % 60;
    std::string text = std::to_string(hours) + ":";
    text += (minutes < 10 ? "0" : "") + std::to_string(minutes) + ":";
    text += (rest < 10 ? "0" : "") + std::to_string(rest);
    return text;
}

}  // namespace mathkit
